"""Fronts of plans held against one another, and against runs on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shoal import catalog

if TYPE_CHECKING:
    from shoal.fleet import Fleet
    from shoal.plan import Plan
    from shoal.study._bench import Bench, Model

CORES = """
    [devices.left]
    board = "this-machine"
    cores = [{0}]
    [devices.right]
    board = "this-machine"
    cores = [{1}]
    [default_link]
    bandwidth = "8 GB/s"
    latency = "50 us"
"""
ENGINE = "onnxruntime"


def against(model: Model, fleet: Fleet, units: Sequence[str], exact: str, other: str) -> tuple[int, int, float]:
    """Plans on the fronts of two planners, and the volume that the other's covers as a share of the exact one's.

    Goals are period, largest energy and largest memory; volumes are taken from 1.1 times the worst of both fronts.
    Costs are those of the boards, none of this machine.
    """
    import numpy as np

    from shoal.plan import Objective
    from shoal.plan.costs import costs_of
    from shoal.plan.problem import Problem
    from shoal.search import front, hypervolume

    costs = costs_of(model.graph, fleet, measure=False)
    problem = Problem(model.graph, fleet, Objective(), costs, len(units) + 2, tuple(units), engines=(ENGINE,))
    scores = [catalog.make("plan/planners", name).search(problem).scores[:, 1:] for name in (exact, other)]
    corner = 1.1 * np.concatenate(scores).max(axis=0)
    volumes = [hypervolume(table, corner) for table in scores]
    return len(front(scores[0])), len(front(scores[1])), volumes[1] / volumes[0]


def periods(bench: Bench, model: Model, count: int, items: int) -> Iterator[tuple[str, float, float, float]]:
    """Units, predicted and measured period in ms, and error in per cent of `count` plans on two cores of this machine.

    Right before each run the plan's segments are measured, each alone, and the period is predicted from that.
    Nothing, if there is one core only.
    """
    from shoal.search import representatives

    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return
    plans = bench.front(model, bench.fleet(CORES.format(*cores)), engines=(ENGINE,), items=items).plans
    figures = [[plan.prediction.period_s, max(plan.prediction.memory_bytes.values())] for plan in plans]
    for plan in (plans[index] for index in representatives(figures, count)):
        predicted_s, measured_s = _calibrated_s(plan, model), bench.run(plan, items, compare=False).period_s
        off = abs(measured_s / predicted_s - 1) * 100
        yield " → ".join(plan.units), predicted_s * 1e3, measured_s * 1e3, off


def _calibrated_s(plan: Plan, model: Model) -> float:
    """The plan's period if its segments take as long as they do by themselves now."""
    from shoal.measure import profile_segment
    from shoal.plan import lower
    from shoal.plan.predict import forecast
    from shoal.plan.written import with_files

    program, folder = with_files(model.graph, lower(model.graph, plan))
    samples = [profile_segment(program, each, folder, model=model.graph.identity) for each in program.segments]
    costs = catalog.make("cost/models", "table").over(model.graph, plan.fleet, samples)
    return forecast(program, plan.fleet, costs, plan.workload).prediction.period_s
