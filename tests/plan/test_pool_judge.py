"""The judge: hand-computed lines, noise, pace, and that it is no echo of the planner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shoal.cost.features import Hints, fit_kernels
from shoal.errors import InputError, PlanError
from shoal.machines import Dataflow, Gpu, MachineTimes, machine_samples
from shoal.measure import Sizes, drawn_works
from shoal.plan.pool_costs import assess
from shoal.plan.pool_dp import pool_front
from shoal.plan.pool_judge import judge
from shoal.plan.pool_modes import MODES, solve_pools
from shoal.plan.pool_systems import FPGA, GPU, gcn_chain, gpu_fpga_pools
from shoal.plan.pools import PoolProblem, PoolSchedule, Stage
from shoal.record import KINDS, KernelSample
from tests.plan.pool_toys import random_problem

TRUTH = MachineTimes({GPU: Gpu(), FPGA: Dataflow()})


def gcn(nodes: int = 20_000, nnz: int = 200_000) -> PoolProblem:
    return PoolProblem(
        gcn_chain((128, 64, 32), 1 << 20, 1 << 25), {"nodes": nodes, "nnz": nnz}, gpu_fpga_pools(), TRUTH
    )


SPLIT = PoolSchedule((Stage(0, 1, GPU, 2), Stage(1, 3, FPGA, 3), Stage(3, 6, GPU, 0)))
THREE = PoolSchedule((Stage(0, 1, GPU, 1), Stage(1, 3, FPGA, 3), Stage(3, 6, GPU, 1)))


@pytest.mark.parametrize("overlap", [False, True])
def test_without_noise_it_is_what_the_formula_says(overlap: bool) -> None:
    problem = replace(gcn(), overlap=overlap)
    point, judged = assess(problem, THREE), judge(problem, THREE, noise=0.0)
    assert judged.period_s == pytest.approx(point.period_s)
    assert judged.energy_j == pytest.approx(point.energy_j)
    assert judged.power_w == pytest.approx(point.power_w)


def test_alone_in_the_pipeline_an_item_takes_the_sum_of_the_stages() -> None:
    judged = judge(gcn(), THREE, noise=0.0, window=1)
    assert judged.latency_s == pytest.approx(assess(gcn(), THREE).latency_s)
    assert judged.period_s == pytest.approx(judged.latency_s)


def test_noise_costs_throughput_and_repeats() -> None:
    quiet, one, other = (judge(gcn(), THREE, noise=noise, seed=1) for noise in (0.0, 0.3, 0.3))
    assert one == other
    assert one.period_s > quiet.period_s
    assert judge(gcn(), THREE, noise=0.3, seed=2) != one


def test_items_of_different_sizes_take_turns() -> None:
    """One stage: the mean of both periods, exactly."""
    one_stage = PoolSchedule((Stage(0, 6, GPU, 1),))
    small, large = {"nodes": 1000, "nnz": 5000}, {"nodes": 50_000, "nnz": 500_000}
    periods = [assess(replace(gcn(), bindings=bindings), one_stage).period_s for bindings in (small, large)]
    judged = judge(gcn(), one_stage, stream=(small, large), noise=0.0, items=400)
    assert judged.period_s == pytest.approx(sum(periods) / 2)


def test_fed_at_a_pace() -> None:
    slow = 3 * assess(gcn(), THREE).period_s
    assert judge(gcn(), THREE, noise=0.05, fed_every_s=slow).period_s == pytest.approx(slow, rel=0.01)


@pytest.mark.parametrize("seed", range(10))
def test_the_judge_never_beats_the_formula_without_noise(seed: int) -> None:
    problem = random_problem(np.random.default_rng(seed), most_kernels=4)
    for point in pool_front(problem):
        judged = judge(problem, point.schedule, noise=0.0, items=40)
        assert judged.period_s == pytest.approx(point.period_s)


def test_refuses_what_cannot_be_judged() -> None:
    with pytest.raises(PlanError, match="do not follow"):
        judge(gcn(), SPLIT)
    with pytest.raises(InputError, match="at least 8 items"):
        judge(gcn(), THREE, items=3)


def samples() -> list[KernelSample]:
    sizes = Sizes(rows=(500, 100_000), columns=(8, 512), inner=(8, 512), per_row=(2, 100))
    return [
        sample
        for name, machine in TRUTH.machines.items()
        for kind in KINDS
        for sample in machine_samples(machine, drawn_works(kind, 120, sizes, 1), name)
    ]


def test_planned_by_fits_judged_by_machines_it_is_close_to_the_best() -> None:
    """The predictor is not the judge: its times differ, and its schedules are still good."""
    hints = {GPU: Hints(tile=64, parallel=104, cache_bytes=8 << 20), FPGA: Hints(tile=32)}
    fitted = fit_kernels(samples(), hints)
    assert all(0.0 < each.mape < 0.25 for each in fitted.fits)
    for mode in MODES:
        for nodes, nnz in ((2000, 10_000), (20_000, 100_000), (80_000, 2_000_000)):
            truth = gcn(nodes, nnz)
            planned = solve_pools(replace(truth, times=fitted), mode)
            best = solve_pools(truth, mode)
            assert planned.period_s != assess(truth, planned.schedule).period_s
            got, least = (judge(truth, schedule, items=60) for schedule in (planned.schedule, best.schedule))
            if mode == "performance":
                assert got.period_s < 1.3 * least.period_s
            if mode == "energy":
                assert got.energy_j < 1.3 * least.energy_j
