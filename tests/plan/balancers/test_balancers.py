"""Every token once, nobody overloaded but where nothing else is left, few moves, near the optimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal import catalog
from shoal.errors import PlanError
from shoal.plan.balancers.contract import FAMILY, Assignment, Balancer, Devices
from shoal.plan.balancers.eplb import Eplb
from shoal.plan.balancers.least_loaded import LeastLoaded, native_copies
from shoal.plan.balancers.optimum import Optimum
from shoal.plan.balancers.plain import Plain
from shoal.plan.balancers.random_spill import RandomSpill

NAMES = catalog.names(FAMILY)
LLA = LeastLoaded(least=4)


@st.composite
def cases(
    draw: st.DrawFn, most: int = 12, *, alike: bool = False, rooms: bool = False
) -> tuple[NDArray[Any], Devices]:
    count = draw(st.integers(1, 5))
    experts = draw(st.integers(1, most))
    loads = draw(st.lists(st.integers(0, 60) | st.integers(0, 2000), min_size=experts, max_size=experts))
    native = draw(st.lists(st.integers(0, count - 1), min_size=experts, max_size=experts))
    speeds = (
        np.ones(count) if alike else np.array(draw(st.lists(st.floats(0.2, 5), min_size=count, max_size=count)))
    )
    transfer = 0.0 if alike else draw(st.just(0.0) | st.floats(0, 500))
    room = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)) if rooms else [experts] * count
    return np.array(loads, np.int64), Devices(
        np.array(native, np.int64), speeds, transfer, np.array(room, np.int64)
    )


def check_tiles(plan: Assignment, loads: NDArray[Any]) -> None:
    """Chunks of each expert cover [0, load) in order; every copy's device is that of its chunk."""
    for expert, load in enumerate(loads.tolist()):
        mine = [each for each in plan.chunks if each.expert == expert]
        assert [each.start for each in mine] == [0, *(each.stop for each in mine[:-1])][: len(mine)]
        assert (mine[-1].stop if mine else 0) == load
        owners = [each.device for each in mine for _ in range(each.copies)]
        positions = np.arange(load)
        assert plan.device_of(np.full(load, expert), positions).tolist() == owners


@pytest.mark.parametrize("name", [each for each in NAMES if each != "optimum"])
@given(cases(rooms=True))
@settings(max_examples=60, deadline=None)
def test_every_copy_is_assigned_once(name: str, case: tuple[NDArray[Any], Devices]) -> None:
    loads, devices = case
    made: Balancer = catalog.make(FAMILY, name)
    plan = made.assign(loads, devices, [loads[::-1].copy()])
    check_tiles(plan, loads)
    assert plan.copies(devices.count).sum() == loads.sum()
    pairs = [(move.expert, move.target) for move in plan.moves]
    assert len(set(pairs)) == len(pairs)
    assert all(move.source == devices.native[move.expert] != move.target for move in plan.moves)


@given(cases(alike=True), st.sampled_from([1.0, 1.5]), st.sampled_from([1, 8, 64]))
@settings(max_examples=200, deadline=None)
def test_no_device_has_more_than_its_capacity_but_by_force(case: tuple[NDArray[Any], Devices], slack: float, least: int) -> None:  # fmt: skip
    """By force: what is left once no device has room for `least` more, less than that from each of the others."""
    loads, devices = case
    plan = LeastLoaded(1.0, slack=slack, least=least).assign(loads, devices)
    most = np.ceil(slack * loads.sum() / devices.count)
    assert plan.copies(devices.count).max() <= most + max(1, devices.count - 1) * least


@given(cases(alike=True))
@settings(max_examples=100, deadline=None)
def test_single_copies_fill_devices_evenly(case: tuple[NDArray[Any], Devices]) -> None:
    loads, devices = case
    plan = LeastLoaded(1.0, least=1).assign(loads, devices)
    assert plan.copies(devices.count).max() <= np.ceil(loads.sum() / devices.count)


@given(cases(alike=True))
@settings(max_examples=200, deadline=None)
def test_a_move_ends_an_experts_spill_or_fills_a_device(case: tuple[NDArray[Any], Devices]) -> None:
    """So there are at most as many as experts that spill and devices that are filled."""
    loads, devices = case
    moves = LeastLoaded(1.0, least=1).assign(loads, devices).moves
    assert len(moves) <= max(0, len({move.expert for move in moves}) + devices.count - 2)


@pytest.mark.parametrize(("experts", "count", "hot"), [(8, 2, 1), (16, 4, 1), (16, 4, 3), (64, 8, 4), (64, 8, 0)])
def test_moves_are_no_more_than_those_of_random_spill(experts: int, count: int, hot: int) -> None:
    """On the mean of many routings; of single ones a draw can do with one less."""
    source = np.random.default_rng(0)
    devices = Devices.alike(np.arange(experts) * count // experts, count)
    chosen, drawn = [], []
    for seed in range(60):
        chance = source.dirichlet(np.full(experts, 2.0))
        chance[:hot] += 2 / max(1, hot)
        loads = source.multinomial(4000, chance / chance.sum())
        chosen.append(len(LeastLoaded(1.0, least=1).assign(loads, devices).moves))
        drawn.append(len(RandomSpill(seed).assign(loads, devices).moves))
    assert np.mean(chosen) <= np.mean(drawn)


@given(cases())
@settings(max_examples=200, deadline=None)
def test_it_is_never_slower_than_what_stays(case: tuple[NDArray[Any], Devices]) -> None:
    loads, devices = case
    assert (
        LLA.assign(loads, devices).seconds(devices).max() <= Plain().assign(loads, devices).seconds(devices).max()
    )


@given(cases(rooms=True))
@settings(max_examples=200, deadline=None)
def test_room_for_others_is_kept(case: tuple[NDArray[Any], Devices]) -> None:
    loads, devices = case
    for made in (LeastLoaded(1.0, least=1), Eplb(2)):
        plan = made.assign(loads, devices, [loads])
        held = {(each.expert, each.device) for each in plan.chunks if each.device != devices.native[each.expert]}
        assert (np.bincount([device for _, device in held], minlength=devices.count) <= devices.room).all()


@given(cases(4))
@settings(max_examples=25, deadline=None)
def test_near_the_optimum(case: tuple[NDArray[Any], Devices]) -> None:
    pytest.importorskip("highspy")
    loads, devices = case
    best = Optimum().assign(loads, devices)
    check_tiles(best, loads)
    least_s = best.seconds(devices).max()
    found_s = LeastLoaded(1.0, least=1).assign(loads, devices).seconds(devices).max()
    assert least_s <= found_s * (1 + 1e-6)
    assert found_s <= 2 * least_s + 1 / devices.copies_per_s.min()


def test_the_optimum_of_a_case_that_can_be_counted() -> None:
    pytest.importorskip("highspy")
    loads = np.array([10, 2])
    devices = Devices(np.array([0, 1]), np.array([1.0, 1.0]), transfer_s=2.0)
    plan = Optimum().assign(loads, devices)
    assert plan.seconds(devices).tolist() == [7.0, 7.0]  # 7 stay, 3 go, and 2 s of weights
    assert Optimum().assign(loads, Devices(devices.native, devices.copies_per_s, 20.0)).moves == ()


def test_the_published_example_by_hand() -> None:
    """Four experts on two devices; the hot one keeps what fits and spills the rest."""
    plan = LeastLoaded(least=4).assign(np.array([70, 10, 12, 8]), Devices.alike(np.array([0, 0, 1, 1]), 2))
    assert [tuple(each) for each in plan.chunks] == [(0, 0, 0, 40), (0, 1, 40, 70), (1, 0, 0, 10), (2, 1, 0, 12), (3, 1, 0, 8)]  # fmt: skip
    assert [tuple(each) for each in plan.moves] == [(0, 0, 1)]


def test_the_gate_opens_at_its_ratio() -> None:
    devices = Devices.alike(np.array([0, 0, 1, 1]), 2)
    nearly, over = np.array([32, 32, 18, 18]), np.array([33, 33, 17, 17])
    assert LeastLoaded(least=1).assign(nearly, devices).moves == ()
    assert LeastLoaded(least=1).assign(over, devices).moves != ()
    assert LeastLoaded(least=1, of="experts").assign(np.array([32, 32, 32, 4]), devices).moves == ()
    assert LeastLoaded(1.0, least=1).assign(nearly, devices).moves != ()


def test_few_tokens_and_large_weights_stay() -> None:
    """Decoding: what would spill takes less time than the weights."""
    loads = np.array([16, 0, 0, 0])
    native = np.array([0, 0, 1, 1])
    assert LeastLoaded(least=1).assign(loads, Devices(native, np.ones(2), transfer_s=0.5)).moves != ()
    assert LeastLoaded(least=1).assign(loads, Devices(native, np.ones(2), transfer_s=40.0)).moves == ()


def test_unlike_devices_get_work_by_their_speed() -> None:
    devices = Devices(np.zeros(4, np.int64), np.array([1.0, 2.0, 5.0]))
    plan = LeastLoaded(least=1).assign(np.array([400, 200, 100, 100]), devices)
    assert plan.copies(3).tolist() == [100, 200, 500]


def test_a_device_without_memory_takes_no_expert_and_it_is_said() -> None:
    loads, native = np.array([90, 5, 5]), np.array([0, 1, 2])
    free = LeastLoaded(least=1).assign(loads, Devices.alike(native, 3))
    full = LeastLoaded(least=1).assign(loads, Devices(native, np.ones(3), room=np.array([0, 0, 1])))
    none = LeastLoaded(least=1).assign(loads, Devices.alike(native, 3, room=0))
    assert sorted(free.copies(3).tolist()) == [32, 34, 34]
    assert not free.said
    assert {move.target for move in full.moves} == {2}
    assert none.moves == ()
    for plan in (full, none):
        assert plan.said == "a device without memory for one more expert of others takes none"


def test_replicas_follow_the_past_and_may_be_of_the_wrong_ones() -> None:
    devices, hot, other = Devices.alike(np.array([0, 0, 1, 1]), 2), np.array([90, 4, 4, 2]), np.array([2, 90, 4, 4])
    assert Eplb().assign(hot, devices, [hot]).copies(2).tolist() == [51, 49]  # experts 0 and 2 are held twice
    assert Eplb().assign(hot, devices, [hot]).moves == ()
    assert Eplb().assign(other, devices, [hot]).copies(2).max() > 80
    assert Eplb().assign(hot, devices).copies(2).tolist() == native_copies(hot, devices).tolist()


def test_bad_input_is_refused() -> None:
    devices = Devices.alike(np.array([0, 1]), 2)
    for name in NAMES:
        with pytest.raises(PlanError, match="a load for each expert is needed"):
            catalog.make(FAMILY, name).assign(np.array([1, 2, 3]), devices)
    with pytest.raises(PlanError, match="an expert is on a device that is not there"):
        Devices.alike(np.array([0, 2]), 2)
    with pytest.raises(PlanError, match="devices need a speed"):
        Devices(np.array([0]), np.array([0.0]))
    with pytest.raises(PlanError, match="options out of range"):
        LeastLoaded(slack=0.5)
    with pytest.raises(PlanError, match="zero or more"):
        Eplb(-1)
