"""Reading beside computing as bars."""

from __future__ import annotations

from shoal.store import Key, Read, TierFigures, Told, Use
from shoal.study import Bar
from shoal.study._reading import reading

TOLD = Told(
    TierFigures("disk", 1e6), 8, ((Key(0), 8),), (Use((Key(0),), 1, 3, 4, 0, 0),), (Read(Key(0), 8, 1, 3, True),)
)


def test_stalls_are_bars_within_the_stretch() -> None:
    found = reading("A step", TOLD, (2, 5), "a note")
    assert found.rows == ("computing", "waiting", "reading")
    assert found.bars == (
        Bar("computing", 1000, 1000, "computing", "computing"),
        Bar("waiting", 0, 1000, "0", "waiting"),
        Bar("reading", 0, 1000, "0", "reading"),
    )
