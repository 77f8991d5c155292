"""Which schedule is chosen, the baselines, and the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from shoal.errors import InputError, PlanError
from shoal.machines import Dataflow, Gpu, MachineTimes
from shoal.plan.pool_cache import ScheduleCache, bucket
from shoal.plan.pool_costs import assess
from shoal.plan.pool_dp import pool_front
from shoal.plan.pool_modes import (
    MODES,
    choose,
    hand_rule,
    score,
    single_type,
    solve_pools,
    static_schedule,
)
from shoal.plan.pool_systems import FPGA, GPU, LINKS, gcn_chain, gin_chain, gpu_fpga_pools, window_chain
from shoal.plan.pools import DeviceType, PoolPoint, PoolProblem, Pools, PoolSchedule, Stage

TRUTH = MachineTimes({GPU: Gpu(), FPGA: Dataflow()})
RULE: Mapping[str, str] = {"spmm": FPGA, "attention": FPGA, "gemm": GPU, "elementwise": GPU}


def gcn(nodes: int, nnz: int) -> PoolProblem:
    chain = gcn_chain((128, 64, 32), 1 << 20, 1 << 25)
    return PoolProblem(chain, {"nodes": nodes, "nnz": nnz}, gpu_fpga_pools(), TRUTH)


def point(period_s: float, energy_j: float) -> PoolPoint:
    return PoolPoint(PoolSchedule(()), period_s, period_s, energy_j, energy_j, 0.0, (period_s,))


POINTS = (point(1.0, 10.0), point(1.4, 6.0), point(1.5, 5.0), point(4.0, 2.0))


def test_each_mode_takes_what_it_is_for() -> None:
    assert choose(POINTS, "performance") == POINTS[0]
    assert choose(POINTS, "energy") == POINTS[3]
    assert choose(POINTS, "balanced") == POINTS[1]  # 1.4 ≤ 1 / 0.7 < 1.5
    assert choose(POINTS, "balanced", rho=0.5) == POINTS[2]
    assert choose(POINTS, "balanced", rho=1.0) == POINTS[0]


@pytest.mark.parametrize("rho", [0.0, 1.1])
def test_refuses_a_share_that_is_none(rho: float) -> None:
    with pytest.raises(InputError, match="share of throughput"):
        choose(POINTS, "balanced", rho)


def test_a_score_is_least_where_its_mode_chooses() -> None:
    points = pool_front(gcn(20_000, 100_000))
    for mode in MODES:
        best = min(points, key=lambda each: score(each, mode, points[0].period_s))
        chosen = choose(points, mode)
        fastest_s = points[0].period_s
        assert score(best, mode, fastest_s) == pytest.approx(score(chosen, mode, fastest_s))


def test_static_is_best_on_average_and_not_everywhere() -> None:
    references = [gcn(1000, 4000), gcn(300_000, 1_000_000), gcn(20_000, 8_000_000)]
    static = static_schedule(references)
    losses = [assess(each, static).period_s / solve_pools(each).period_s for each in references]
    assert all(loss >= 1 - 1e-12 for loss in losses)
    assert max(losses) > 1.01
    for other in references:
        rival = solve_pools(other).schedule
        mean = sum(assess(each, rival).period_s / solve_pools(each).period_s for each in references) / 3
        assert sum(losses) / 3 <= mean + 1e-12


def test_static_needs_chains_of_one_length() -> None:
    short = replace(gcn(100, 100), chain=gcn_chain((8, 4), 1000, 1000))
    with pytest.raises(InputError, match="equally many kernels"):
        static_schedule([gcn(1000, 4000), short])


def test_the_hand_rule_puts_sparse_here_and_dense_there() -> None:
    """gemm | spmm | relu gemm | spmm | relu: three stages for two GPUs, so one of them joins a neighbour."""
    problem = gcn(20_000, 100_000)
    schedule = hand_rule(problem, RULE)  # type: ignore[arg-type]
    assert assess(problem, schedule).period_s > 0
    assert schedule.used == {GPU: 2, FPGA: 3}
    roomy = replace(problem, pools=gpu_fpga_pools(gpus=3, fpgas=3))
    assert str(hand_rule(roomy, RULE)) == (  # type: ignore[arg-type]
        "1×gpu[0:1] → 2×fpga[1:2] → 1×gpu[2:4] → 1×fpga[4:5] → 1×gpu[5:6]"
    )


def test_the_hand_rule_needs_pools_that_are_there() -> None:
    with pytest.raises(PlanError, match="no pool for spmm"):
        hand_rule(gcn(10, 10), {"gemm": GPU})
    with pytest.raises(PlanError, match="'tpu'"):
        hand_rule(gcn(10, 10), {**RULE, "spmm": "tpu"})  # type: ignore[dict-item]


def test_single_type_uses_all_of_one() -> None:
    assert single_type(gcn(10, 10), FPGA) == PoolSchedule((Stage(0, 6, FPGA, 3),))
    with pytest.raises(PlanError, match="no pool 'tpu'"):
        single_type(gcn(10, 10), "tpu")


@pytest.mark.parametrize("link", LINKS)
def test_systems_and_chains_can_be_planned(link: str) -> None:
    pools = gpu_fpga_pools(link=link)  # type: ignore[arg-type]
    for chain, bindings in (
        (gin_chain((32, 16, 8), 5000, 50_000), {"nodes": 1000, "nnz": 9000}),
        (window_chain(1, 256, 8, 64, 8192), {"length": 2048}),
    ):
        assert pool_front(PoolProblem(chain, bindings, pools, TRUTH))


def test_sizes_above_their_bound_are_refused() -> None:
    with pytest.raises(PlanError, match="'nodes' is above its bound"):
        assert gcn(1 << 21, 10).works


def test_pools_are_checked() -> None:
    for make in (
        lambda: DeviceType("g", -1, 1.0, 1.0), lambda: DeviceType("host", 1, 1.0, 1.0),
        lambda: Pools((DeviceType("g", 1, 1.0, 1.0), DeviceType("g", 1, 1.0, 1.0))),
        lambda: gpu_fpga_pools(link="isa"),  # type: ignore[arg-type]
    ):  # fmt: skip
        with pytest.raises(InputError):
            make()


def test_the_cache_knows_sizes_of_one_magnitude() -> None:
    asked: list[Mapping[str, int]] = []

    def solve(bindings: Mapping[str, int]) -> PoolPoint:
        asked.append(bindings)
        return solve_pools(gcn(bindings["nodes"], bindings["nnz"]))

    cache, first = ScheduleCache().look({"nodes": 1100, "nnz": 5000}, solve)
    cache, second = cache.look({"nnz": 8000, "nodes": 2000}, solve)
    cache, third = cache.look({"nodes": 2100, "nnz": 8000}, solve)
    assert (cache.hits, cache.misses, len(asked)) == (1, 2, 2)
    assert second is first
    assert third is not first
    assert bucket({"nnz": 64}) == bucket({"nnz": 127}) != bucket({"nnz": 128})
