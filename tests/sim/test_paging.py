"""Paging by schedule: by hand, against bounds and brute force, and what does not fit."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.cost.pooled import RingLinks
from shoal.errors import InputError, LimitError
from shoal.sim.paging import Op, Tensor, Xpu, least_bytes, paged, pins

SECOND = Xpu(1.0, 1.0, 1e18, 1.0, 1.0, 0.0)  # a flop and a remote byte a second
RAW = st.tuples(st.floats(0.1, 10), st.integers(1, 10))
OPS = st.lists(RAW, min_size=2, max_size=7).map(lambda raw: [op(*each) for each in raw])


def op(flops: float, size: float, *, foreseen: bool = True, pieces: int = 1) -> Op:
    return Op("op", flops, (Tensor(size, size, foreseen, pieces),))


def test_by_hand_on_demand_reading_and_work_take_turns() -> None:
    found = paged([op(3, 2), op(3, 2)], SECOND, local_bytes=2, window=0)
    assert (found.seconds, found.working_s, found.fetched_bytes, found.peak_bytes) == (10, 6, 4, 2)


def test_by_hand_a_window_hides_what_work_covers() -> None:
    assert paged([op(3, 2)] * 2, SECOND, 4, window=1).seconds == 6  # resident, in fact
    ops = [op(3, 2)] * 4
    assert paged(ops, SECOND, 4, window=1).seconds == 12  # two are here at a time, the next comes during work
    assert paged(ops, SECOND, 2, window=1).seconds == 20  # the window is there, the room is not
    assert paged([op(1, 2)] * 4, SECOND, 4, window=1).seconds == 8  # the channel is what takes long


def test_by_hand_experts_come_after_their_router_and_piece_by_piece() -> None:
    whole, cut = ([op(4, 1), op(4, 8, foreseen=False, pieces=each)] for each in (1, 4))
    assert paged(whole, SECOND, 8.5, window=0).seconds == 4 + 1 + 8 + 4
    assert paged(cut, SECOND, 8.5, window=0).seconds == 4 + 1 + 8 + 1  # the last expert's work follows its coming


def test_all_in_local_memory_takes_its_own_time() -> None:
    ops = [op(3, 2), op(5, 7, foreseen=False), Op("sum", 1, (), reduced_bytes=100)]
    found = paged(ops, SECOND, exchange=RingLinks(100.0, 0.0), devices=2)
    assert found.fetched_bytes == 0
    assert found.seconds == found.working_s == 9 + 1
    assert paged(ops, SECOND, 9, window=2).fetched_bytes == 0  # just so


@given(ops=OPS, window=st.integers(0, 3), room=st.floats(0, 1))
def test_bounds_hold(ops: list[Op], window: int, room: float) -> None:
    alone, total = least_bytes(ops, 0), sum(each.read_bytes for each in ops)
    local_bytes = alone + room * (total - alone)
    found = paged(ops, SECOND, local_bytes, window, steps=6)
    assert found.peak_bytes <= local_bytes * (1 + 1e-9)
    assert found.pinned_bytes + found.fetched_bytes == pytest.approx(total)
    assert found.seconds >= max(found.working_s, found.fetched_bytes) * (1 - 1e-9)
    assert found.seconds <= (found.working_s + found.fetched_bytes) * (1 + 1e-9)


@given(ops=OPS, window=st.integers(0, 2), room=st.floats(0, 1))
def test_pins_are_off_the_best_by_a_window_and_a_tensor_at_most(ops: list[Op], window: int, room: float) -> None:
    local_bytes = least_bytes(ops, window) + room * sum(each.read_bytes for each in ops)

    def fits(kept: tuple[int, ...]) -> bool:
        rest = [Op("", 0, () if at in kept else each.tensors) for at, each in enumerate(ops)]
        return sum(ops[at].read_bytes for at in kept) + least_bytes(rest, window) <= local_bytes

    kept = tuple(at for at, _ in pins(ops, local_bytes, window))
    ways = (each for count in range(len(ops) + 1) for each in itertools.combinations(range(len(ops)), count))
    best = max(sum(ops[at].read_bytes for at in way) for way in ways if fits(way))
    assert fits(kept)
    largest = max(each.read_bytes for each in ops)
    # One after another they leave room for the window that is left then, which the best may not need, and one may not fit.
    assert sum(ops[at].read_bytes for at in kept) >= best - (window + 2) * largest


def test_what_spares_most_for_its_bytes_is_pinned_first() -> None:
    rarely, always = Tensor(10, 1), Tensor(4, 4)
    ops = [Op("experts", 1, (rarely,)), Op("dense", 1, (always,)), Op("last", 1, ())]
    assert pins(ops, 5, 0) == {(1, 0)}
    assert pins(ops, 14, 0) == {(0, 0), (1, 0)}


def test_activations_count() -> None:
    ops = [Op("wide", 1, (Tensor(4, 4),), moved_bytes=3)]
    assert least_bytes(ops) == 7
    assert paged(ops, SECOND, 7).peak_bytes == 7


def test_what_does_not_fit_is_refused_with_what_it_takes() -> None:
    with pytest.raises(LimitError, match=r"does not hold the largest operation \(needed 9 B, had 8 B\)"):
        paged([op(1, 9), op(1, 2)], SECOND, 8)
    with pytest.raises(InputError, match="a window is 0 or more"):
        least_bytes([op(1, 1)], -1)
    with pytest.raises(InputError, match="read as far as it goes"):
        Tensor(1, 2)
    with pytest.raises(InputError, match="rates are above zero"):
        Xpu(remote_bytes_per_s=0)
