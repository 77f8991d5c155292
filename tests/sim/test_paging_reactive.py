"""Paging on demand: by hand, against the store's ledger, and against paging by schedule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import catalog
from shoal.errors import LimitError
from shoal.sim.paging import Op, Tensor, Xpu, least_bytes, paged
from shoal.sim.paging_reactive import reactive
from shoal.store import POLICIES, Key, Ledger

SECOND = Xpu(1.0, 1.0, 1e18, 1.0, 1.0, 0.0)  # a flop and a remote byte a second
SIZES = st.lists(st.integers(1, 10), min_size=2, max_size=9)


def ops_of(sizes: list[int], flops: float = 3) -> list[Op]:
    return [Op("op", flops, (Tensor(size, size),)) for size in sizes]


def test_by_hand() -> None:
    ops = ops_of([2, 2])
    found = reactive(ops, SECOND, local_bytes=2)
    assert (found.seconds, found.working_s, found.fetched_bytes, found.peak_bytes) == (10, 6, 4, 2)
    assert reactive(ops, SECOND, local_bytes=4).seconds == 6
    assert (
        reactive(ops_of([2] * 4), SECOND, local_bytes=6).fetched_bytes == 8
    )  # what comes next is what has just left


@given(sizes=SIZES, room=st.floats(0, 1))
def test_it_reads_what_a_store_reads_that_drops_the_least_recently_used(sizes: list[int], room: float) -> None:
    budget = max(sizes) + int(room * sum(sizes))
    keys = [Key(at) for at in range(len(sizes))]
    ledger = Ledger(dict(zip(keys, sizes, strict=True)), budget, catalog.make(POLICIES, "lru").keeper(keys))
    for _ in range(3):
        fetched = 0
        for key, size in zip(keys, sizes, strict=True):
            ledger.hold([key])
            if ledger.begin() is not None:
                ledger.came(key)
                fetched += size
            ledger.let_go([key])
    assert reactive(ops_of(sizes), SECOND, budget).fetched_bytes == fetched


@given(sizes=SIZES, room=st.floats(0, 1), window=st.integers(0, 2))
def test_a_schedule_is_never_slower(sizes: list[int], room: float, window: int) -> None:
    ops = ops_of(sizes)
    alone = least_bytes(ops, 0)
    local_bytes = alone + room * (sum(sizes) - alone)
    by_schedule = paged(ops, SECOND, local_bytes, window)
    on_demand = reactive(ops, SECOND, local_bytes)
    assert on_demand.peak_bytes <= local_bytes * (1 + 1e-9)
    assert by_schedule.seconds <= on_demand.seconds * (1 + 1e-9)
    ahead = paged(ops, SECOND, local_bytes, window, pinned=False)
    assert (ahead.pinned_bytes, ahead.fetched_bytes) == (0, sum(sizes))
    assert ahead.seconds >= by_schedule.working_s * (1 - 1e-9)


def test_what_does_not_fit_is_refused_with_what_it_takes() -> None:
    with pytest.raises(LimitError, match=r"does not hold the largest operation \(needed 9 B, had 8 B\)"):
        reactive(ops_of([9, 2]), SECOND, 8)
