"""The stage programme against trying every schedule; limits; what it says when nothing can be done."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.errors import LimitError, PlanError
from shoal.plan.pool_costs import assess, held_bytes
from shoal.plan.pool_dp import pool_front
from shoal.plan.pools import (
    Chain,
    DeviceType,
    KernelSpec,
    Limits,
    PoolLink,
    PoolProblem,
    Pools,
    PoolSchedule,
    Stage,
)
from tests.plan.pool_toys import Oracle, Rates, random_problem


def assert_same_front(problem: PoolProblem) -> None:
    wanted = Oracle(problem).front()
    if not wanted:
        with pytest.raises((LimitError, PlanError)):
            pool_front(problem)
        return
    got = np.array([(point.period_s, point.energy_j) for point in pool_front(problem)])
    # points that differ by rounding alone may be on one front and not on the other
    wanted_array = np.array(wanted)
    for one, other in ((got, wanted_array), (wanted_array, got)):
        for point in one:
            assert (other <= point * (1 + 1e-9)).all(axis=1).any(), (got, wanted_array)


@pytest.mark.parametrize("batch", range(10))
def test_finds_the_front_that_trying_everything_finds(batch: int) -> None:
    for seed in range(50):
        assert_same_front(random_problem(np.random.default_rng(1000 * batch + seed)))


@pytest.mark.parametrize("seed", range(20))
def test_three_types(seed: int) -> None:
    assert_same_front(random_problem(np.random.default_rng(seed), most_kernels=4, counts=(2, 2, 1)))


@pytest.mark.parametrize("seed", range(60))
def test_limits_hold_as_when_trying_everything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    free = random_problem(rng, most_kernels=5)
    try:
        points = pool_front(free)
    except PlanError:
        return
    chosen = points[int(rng.integers(len(points)))]
    factor = float(rng.uniform(0.7, 1.4))
    most_bytes = max(held_bytes(free.works[each.first : each.last], each.count) for each in chosen.schedule.stages)
    limits = Limits(
        latency_s=chosen.latency_s * factor if rng.integers(2) else None,
        memory_bytes=most_bytes * factor if rng.integers(2) else None,
        power_w=chosen.power_w * factor if rng.integers(2) else None,
        devices=int(rng.integers(1, 4)) if rng.integers(2) else None,
    )
    assert_same_front(replace(free, limits=limits))


def chain(*kinds: str, rows: int = 100) -> Chain:
    return Chain("c", tuple(
        KernelSpec(f"k{index}", kind, rows, 16, rows if kind == "spmm" else 16, nnz=500)  # type: ignore[arg-type]
        for index, kind in enumerate(kinds)
    ))  # fmt: skip


TWO = Pools((DeviceType("f", 1, 10.0, 20.0), DeviceType("g", 1, 40.0, 200.0)), (), PoolLink(("", ""), 1e9, 1e-6))
RATES = Rates({("spmm", "f"): 1e9, ("spmm", "g"): 1e8, ("gemm", "f"): 1e8, ("gemm", "g"): 1e9}, 0.0)


def test_a_hand_computed_schedule() -> None:
    """16,000 and 51,200 flops at 1 GFLOPS; 4 rows of bytes: x 6400 B, A 404 + 4000 B."""
    problem = PoolProblem(chain("spmm", "gemm"), {}, TWO, RATES)
    point = assess(problem, PoolSchedule((Stage(0, 1, "f"), Stage(1, 2, "g"))))
    first, second = 16e-6 + 10_804e-9 + 1e-6, 51.2e-6 + 6400e-9 + 1e-6
    assert point.stages_s == pytest.approx((first, second))
    assert point.period_s == pytest.approx(second)
    assert point.latency_s == pytest.approx(first + second)
    assert point.energy_j == pytest.approx(20 * 16e-6 + 200 * 51.2e-6 + 50 * second)
    assert pool_front(problem)[0] == point


def test_the_previous_type_decides_what_communication_costs() -> None:
    links = (PoolLink(("f", "g"), 1e6), PoolLink(("g", "g"), 1e12), PoolLink(("f", "f"), 1e12))
    pools = Pools((DeviceType("f", 2, 1.0, 1.0), DeviceType("g", 2, 1.0, 1.0)), links, PoolLink(("", ""), 1e12))
    best = pool_front(PoolProblem(chain("spmm", "gemm"), {}, pools, RATES))[0]
    assert len({stage.device for stage in best.schedule.stages}) == 1


def test_a_power_limit_slows_the_pipeline_down() -> None:
    problem = PoolProblem(chain("spmm", "gemm"), {}, TWO.only("f"), RATES)
    (fast,) = pool_front(problem)
    (slow,) = pool_front(replace(problem, limits=Limits(power_w=15.0)))
    assert fast.power_w > 15.0
    assert slow.power_w == pytest.approx(15.0)
    assert slow.period_s == slow.fed_every_s > fast.period_s


def test_names_the_kernel_that_nobody_can_run() -> None:
    with pytest.raises(PlanError, match="kernel 'k1': no device can run attention"):
        pool_front(PoolProblem(chain("spmm", "attention"), {}, TWO, RATES))


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(latency_s=1e-6), "latency_s"),
        (Limits(latency_s=1.0, power_w=5.0), "power_w"),
        (Limits(memory_bytes=100.0, power_w=5.0), "memory_bytes"),
        (Limits(devices=0), "devices"),
        (Limits(power_w=10.0), "power_w"),
    ],
)
def test_names_the_tightest_limit(limits: Limits, said: str) -> None:
    with pytest.raises(LimitError, match=f"no schedule keeps {said}"):
        pool_front(PoolProblem(chain("spmm", "gemm"), {}, TWO, RATES, limits))


def test_the_nearest_value_that_can_be_had_can_be_had() -> None:
    problem = PoolProblem(chain("spmm", "gemm"), {}, TWO, RATES, Limits(latency_s=1e-6))
    with pytest.raises(LimitError) as caught:
        pool_front(problem)
    least = float((caught.value.had or "").split()[0])
    assert pool_front(replace(problem, limits=Limits(latency_s=least * 1.00001)))
    with pytest.raises(LimitError):
        pool_front(replace(problem, limits=Limits(latency_s=least * 0.99999)))


def test_limits_that_only_fail_together() -> None:
    """One device is enough, and so is the memory of two stages, but not both."""
    problem = PoolProblem(chain("gemm", "gemm", "gemm"), {}, TWO, RATES)
    two = held_bytes(problem.works[:2], 1)
    assert pool_front(replace(problem, limits=Limits(memory_bytes=two)))
    with pytest.raises(LimitError, match="with the other limits"):
        pool_front(replace(problem, limits=Limits(memory_bytes=two, devices=1)))


def test_a_kernel_too_large_for_every_device() -> None:
    small = Pools(tuple(replace(each, memory_bytes=1000.0) for each in TWO.types), (), TWO.default_link)
    with pytest.raises(LimitError, match="fits into no device's memory"):
        pool_front(PoolProblem(chain("gemm"), {}, small, RATES))


def test_fifty_kernels_on_five_devices() -> None:
    kinds = ("spmm", "gemm") * 25
    pools = Pools((DeviceType("f", 3, 10.0, 20.0), DeviceType("g", 2, 40.0, 200.0)), (), TWO.default_link)
    points = pool_front(PoolProblem(chain(*kinds), {}, pools, RATES))
    assert (
        points[0].period_s
        < assess(PoolProblem(chain(*kinds), {}, pools, RATES), PoolSchedule((Stage(0, 50, "f", 3),))).period_s
    )
