"""What threads take beside reading: found again in a record, and taken again in its replay."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest

from shoal import catalog
from shoal.sim.handovers import Handovers, handovers
from shoal.sim.storage import replayed
from shoal.store import POLICIES, Key, Policy, Read, TierFigures, Told, Use

PAGE = 4096
LRU: Policy = catalog.make(POLICIES, "lru")
SECOND = TierFigures("disk", PAGE)  # a page a second
A, B, C = (Key(at) for at in range(3))
TAKES = Handovers(begin_s=0.25, read_s=0.5, next_s=0.125, wake_s=0.0625)


def record() -> Told:
    """A use of two records, the third foreseen; then a use of the third, which is on its way."""
    uses = (
        Use((A, B), 1.0, 4.4375, 5.0, 0, 0, (C,)),
        Use((C,), 5.5, 6.0625, 7.0, 0, 1),
    )
    reads = (
        Read(A, PAGE, 1.25, 2.75, True),
        Read(B, PAGE, 2.875, 4.375, True),
        Read(C, PAGE, 4.5, 6.0, False),
    )
    return Told(SECOND, 3 * PAGE, tuple((key, PAGE) for key in (A, B, C)), uses, reads)


def test_they_are_found_in_a_record() -> None:
    assert astuple(handovers(record())) == astuple(TAKES)


def test_a_replay_takes_them_again() -> None:
    told = record()
    again = replayed(told, LRU)
    assert again.reads == tuple(
        replace(each, begun_s=each.begun_s - 1, ended_s=each.ended_s - 1) for each in told.reads
    )
    times = [(each.asked_s + 1, each.ready_s + 1, each.ended_s + 1) for each in again.uses]
    assert times == [(each.asked_s, each.ready_s, each.ended_s) for each in told.uses]


def test_a_quicker_tier_is_quicker_by_its_figures_alone() -> None:
    quick = replayed(record(), LRU, TierFigures("memory", 4 * PAGE))
    assert quick.reads[0].ended_s - quick.reads[0].begun_s == pytest.approx(0.25 + TAKES.read_s)


@pytest.mark.parametrize("told", [replace(record(), tier=TierFigures("disk")), replace(record(), reads=())])
def test_none_are_where_the_record_shows_none(told: Told) -> None:
    assert handovers(told) == Handovers()
