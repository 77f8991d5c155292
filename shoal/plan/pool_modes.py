"""Which schedule of a front to run, and which schedules others would have run: the baselines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

from shoal.errors import InputError, PlanError
from shoal.plan.pool_costs import assess
from shoal.plan.pool_dp import pool_front
from shoal.plan.pools import PoolPoint, PoolProblem, PoolSchedule, Stage
from shoal.record import KernelKind


class Outcome(Protocol):
    """What a schedule is predicted, or was judged, to do."""

    @property
    def period_s(self) -> float:
        """Seconds between items."""

    @property
    def energy_j(self) -> float:
        """Joules an item."""


Mode = Literal["performance", "energy", "balanced"]
MODES: tuple[Mode, ...] = ("performance", "energy", "balanced")
RHO = 0.7  # balanced: share of the best throughput that is enough


def choose(points: Sequence[PoolPoint], mode: Mode, rho: float = RHO) -> PoolPoint:
    """The point of a front that `mode` asks for.

    performance: least period. energy: least energy an item. balanced: least energy among those with at least
    `rho` of the best throughput. Ties go to the other goal.

    Raises:
        InputError: no point, or `rho` not in (0, 1].
    """
    if not points or not 0 < rho <= 1:
        raise InputError("choosing needs a point, and a share of throughput in (0, 1]", had=f"{len(points)}, {rho}")
    if mode == "performance":
        return min(points, key=lambda point: (point.period_s, point.energy_j))
    if mode == "balanced":
        slowest_s = min(point.period_s for point in points) / rho * (1 + 1e-12)
        points = [point for point in points if point.period_s <= slowest_s]
    return min(points, key=lambda point: (point.energy_j, point.period_s))


def solve_pools(problem: PoolProblem, mode: Mode = "performance", rho: float = RHO) -> PoolPoint:
    """The best schedule for `mode` by the problem's own times.

    Raises:
        PlanError: no pool can run one of the kernels.
        LimitError: nothing keeps the limits.
    """
    return choose(pool_front(problem), mode, rho)


def score(point: Outcome, mode: Mode, best_period_s: float, rho: float = RHO) -> float:
    """What `mode` wants least of: seconds, or joules; for balanced, joules times how far throughput falls short.

    The factor makes a schedule that misses the share of the best throughput comparable instead of worthless.
    """
    if mode == "performance":
        return point.period_s
    short = max(1.0, point.period_s * rho / best_period_s) if mode == "balanced" else 1.0
    return point.energy_j * short


def static_schedule(
    references: Sequence[PoolProblem], mode: Mode = "performance", rho: float = RHO
) -> PoolSchedule:
    """Baseline: the one schedule that is best on average over `references`, each relative to its own best.

    The candidates are all schedules on the references' fronts.

    Raises:
        InputError: no references, or their chains differ in length.
    """
    if len({len(problem.works) for problem in references}) != 1:
        raise InputError("a static schedule needs references with equally many kernels")
    fronts = [pool_front(problem) for problem in references]
    candidates = dict.fromkeys(point.schedule for points in fronts for point in points)

    def mean(schedule: PoolSchedule) -> float:
        total = 0.0
        for problem, points in zip(references, fronts, strict=True):
            fastest_s = points[0].period_s
            own = score(assess(problem, schedule), mode, fastest_s, rho)
            total += own / score(choose(points, mode, rho), mode, fastest_s, rho)
        return total / len(references)

    return min(candidates, key=mean)


def hand_rule(problem: PoolProblem, best_at: Mapping[KernelKind, str]) -> PoolSchedule:
    """Baseline: each kind on the pool a person would say it belongs to ("sparse on FPGA, dense on GPU").

    Neighbours on one pool form a stage; a pool's devices are shared among its stages, as evenly as whole devices
    allow, the earlier ones first.

    Raises:
        PlanError: a kind without a pool, or a pool with fewer devices than stages.
    """
    stages: list[Stage] = []
    for index, spec in enumerate(problem.chain.kernels):
        name = best_at.get(spec.kind)
        if name is None:
            raise PlanError(f"the rule has no pool for {spec.kind}", where=f"kernel '{spec.name}'")
        if stages and stages[-1].device == name:
            stages[-1] = replace(stages[-1], last=index + 1)
        else:
            stages.append(Stage(index, index + 1, name))
    return PoolSchedule(tuple(_spread(problem, _merged(problem, stages))))


def single_type(problem: PoolProblem, name: str) -> PoolSchedule:
    """Baseline: everything on all devices of one type, each kernel's rows shared among them.

    Raises:
        PlanError: there is no such pool, or it cannot run one of the kernels.
    """
    pool = problem.pools.by_name.get(name)
    if pool is None:
        raise PlanError(f"there is no pool '{name}'", hint=f"known: {', '.join(problem.pools.by_name)}")
    schedule = PoolSchedule((Stage(0, len(problem.works), name, pool.count),))
    assess(problem, schedule)
    return schedule


def _merged(problem: PoolProblem, stages: Sequence[Stage]) -> list[Stage]:
    """Stages so few that each has a device: the shortest stage of a pool with too many joins its neighbour."""
    merged = list(stages)
    while (crowded := _crowded(problem, merged)) is not None:
        index = min(
            (number for number, stage in enumerate(merged) if stage.device == crowded),
            key=lambda number: _seconds(problem, merged[number]),
        )
        other = index - 1 if index else 1
        low, high = sorted((index, other))
        merged[low : high + 1] = [Stage(merged[low].first, merged[high].last, merged[other].device)]
        merged = _joined(merged)
    return merged


def _joined(stages: Iterable[Stage]) -> list[Stage]:
    """Neighbours on one pool as one stage."""
    joined: list[Stage] = []
    for stage in stages:
        if joined and joined[-1].device == stage.device:
            joined[-1] = replace(joined[-1], last=stage.last)
        else:
            joined.append(stage)
    return joined


def _crowded(problem: PoolProblem, stages: Sequence[Stage]) -> str | None:
    names = [stage.device for stage in stages]
    for name in dict.fromkeys(names):
        pool = problem.pools.by_name.get(name)
        if pool is None or not pool.count:
            raise PlanError(f"the rule names the pool '{name}', which there is not",
                            hint=f"known: {', '.join(problem.pools.by_name)}")  # fmt: skip
        if names.count(name) > pool.count:
            return name
    return None


def _seconds(problem: PoolProblem, stage: Stage) -> float:
    return sum(problem.times.seconds(work, stage.device) for work in problem.works[stage.first : stage.last])


def _spread(problem: PoolProblem, stages: Sequence[Stage]) -> list[Stage]:
    """Every pool's devices dealt to its stages in turn."""
    names = [stage.device for stage in stages]
    result = []
    for number, stage in enumerate(stages):
        count, sharers = problem.pools.by_name[stage.device].count, names.count(stage.device)
        place = names[:number].count(stage.device)
        result.append(replace(stage, count=count // sharers + (place < count % sharers)))
    return result
