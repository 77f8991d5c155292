"""A store in simulated time: by hand, and as a real one's record replayed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.errors import LimitError
from shoal.sim.shelf import SimulatedStore
from shoal.sim.storage import replayed
from shoal.store import POLICIES, Key, Policy, TierFigures

PAGE = 4096
KEYS = [Key(layer, part) for layer in range(2) for part in range(3)]
SIZES = tuple((key, PAGE * (1 + key.part)) for key in KEYS)
LRU: Policy = catalog.make(POLICIES, "lru")
SECOND = TierFigures("disk", PAGE)  # a page a second


def test_by_hand() -> None:
    made = SimulatedStore(SIZES, 1 << 20, LRU, SECOND)
    with made.hold([Key(0)], then=[Key(0, 1), Key(0, 2)]) as held:
        assert held == [{}]
        assert made.now_s == 1
        made.work(1.5)
    assert made.held() == {Key(0)}
    made.work(1.0)
    assert made.held() == {Key(0), Key(0, 1)}
    with made.hold([Key(0, 1), Key(0, 2)]):
        made.work(2.0)
    told = made.told()
    assert [(each.asked_s, each.ready_s, each.ended_s, each.hits, each.late) for each in told.uses] == [
        (0, 1, 2.5, 0, 0), (3.5, 6, 8, 1, 1),
    ]  # fmt: skip
    assert [(each.begun_s, each.ended_s, each.demanded) for each in told.reads] == [
        (0, 1, True), (1, 3, False), (3, 6, False),
    ]  # fmt: skip
    assert told.peak_bytes == 6 * PAGE


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sets(st.sampled_from(KEYS), min_size=1, max_size=2),
                       st.none() | st.lists(st.sampled_from(KEYS), max_size=3, unique=True),
                       st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8),
    st.integers(6, 12),
)  # fmt: skip
def test_its_record_replays_to_the_same_times(
    steps: list[tuple[set[Key], list[Key] | None, int, int]], pages: int
) -> None:
    made = SimulatedStore(SIZES, pages * PAGE, LRU, SECOND)
    for keys, then, held_s, after_s in steps:
        with made.hold(sorted(keys), then):
            made.work(held_s)
        made.work(after_s)
    found, again = made.told(), replayed(made.told(), LRU)
    assert again.uses == found.uses
    assert again.reads[: len(found.reads)] == found.reads


def test_what_comes_the_moment_it_is_asked_for_is_here_in_the_replay_too() -> None:
    made = SimulatedStore(SIZES, 6 * PAGE, LRU, SECOND)
    with made.hold([Key(0, 2)], then=[Key(1, 1), Key(0)]):
        pass
    made.work(3)
    with made.hold([Key(0)]):
        pass
    assert made.told().uses[1].hits == 1
    assert replayed(made.told(), LRU).uses == made.told().uses


def test_what_does_not_fit_is_refused() -> None:
    made = SimulatedStore(SIZES, 3 * PAGE, LRU, SECOND)
    with pytest.raises(LimitError, match="larger than the budget"), made.hold([Key(0, 1), Key(0, 2)]):
        pass
