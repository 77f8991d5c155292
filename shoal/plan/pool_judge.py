"""A schedule over pools judged by event simulation, with times that are not the planner's.

What it covers: items that flow through the stages one after another, a limited number of them in flight, queues
before each stage, receiving charged to the stage (or beside its computing, if the problem says so), noise on every
kernel stage, items of different sizes, feeding at a pace; the energy of what really was busy, with static power
over the time that really passed. What it leaves out: contention of links that several pairs share, switching.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.events import Kernel
from shoal.plan.pool_costs import assess, compute_s, entering_bytes, link_j, receive_s
from shoal.plan.pools import HOST, PoolProblem, PoolSchedule

F64 = NDArray[np.float64]

WARM = 0.25  # share of the items that fill the pipeline, and are not counted


@dataclass(frozen=True)
class Judged:
    """What a schedule did."""

    schedule: PoolSchedule
    period_s: float  # mean interval between answers once the pipe is full
    latency_s: float  # mean, from start to answer, queues included
    energy_j: float  # an item
    items: int

    @property
    def power_w(self) -> float:
        """Mean power."""
        return self.energy_j / self.period_s


@dataclass(frozen=True)
class _Visit:
    """One item at one stage."""

    receive_s: float
    busy_s: float
    joules: float  # of links


def judge(
    truth: PoolProblem,
    schedule: PoolSchedule,
    *,
    items: int = 200,
    stream: Sequence[Mapping[str, int]] = (),
    noise: float = 0.05,
    seed: int = 0,
    window: int = 0,
    fed_every_s: float = 0.0,
) -> Judged:
    """Simulate `schedule` with the times of `truth`.

    Args:
        truth: the problem with the judge's times in place of the planner's.
        schedule: who does what.
        items: how many.
        stream: bindings of the items, taken in turn; none: those of `truth`.
        noise: standard deviation of the logarithm of a factor on each computing time.
        seed: of the noise; another schedule with the same seed meets the same factors by item and stage.
        window: items in flight at most; 0 = two for each stage.
        fed_every_s: least time between two starts.

    Raises:
        PlanError: the schedule does not fit the problem.
        InputError: fewer than eight items, or negative noise.
    """
    if items < 8 or noise < 0:
        raise InputError("judging needs at least 8 items and noise of zero or more", had=f"{items}, {noise}")
    problems = [replace(truth, bindings=bindings) for bindings in stream] or [truth]
    plans = [_visits(problem, schedule) for problem in problems]
    shape = (items, len(schedule.stages))
    factors = np.exp(np.random.default_rng(seed).normal(0.0, noise, shape)) if noise else np.ones(shape)
    line = _Line(
        [plans[number % len(plans)] for number in range(items)],
        factors,
        window or 2 * len(schedule.stages),
        fed_every_s,
        overlap=truth.overlap,
    )
    line.run()
    return _summed(truth, schedule, line)


def _visits(problem: PoolProblem, schedule: PoolSchedule) -> list[_Visit]:
    """What one item takes at each stage, without noise."""
    assess(problem, schedule)
    source, visits = (HOST, 1), []
    for stage in schedule.stages:
        device, works = problem.pools.by_name[stage.device], problem.works[stage.first : stage.last]
        here = (stage.device, stage.count)
        visits.append(
            _Visit(
                receive_s(problem, entering_bytes(works), source, here),
                sum(compute_s(problem, work, device, stage.count) for work in works),
                link_j(problem, works, source[0], stage.device, stage.count),
            )
        )
        source = here
    return visits


class _Line:
    """The stages as servers with queues, on simulated time."""

    def __init__(
        self, visits: Sequence[Sequence[_Visit]], factors: F64, window: int, fed_every_s: float, *, overlap: bool
    ) -> None:
        self._visits, self._factors = visits, factors
        self._window, self._fed_every_s, self._overlap = window, fed_every_s, overlap
        self._kernel = Kernel()
        self._queues: list[deque[int]] = [deque() for _ in range(factors.shape[1])]
        self._busy = [False] * factors.shape[1]
        self._next, self._in_flight, self._free_s = 0, 0, 0.0
        self.started_s: list[float] = []
        self.answered_s: list[float] = []
        self.busy_s = np.zeros(factors.shape)  # computing, by item and stage
        self.joules = np.zeros(factors.shape)  # of links

    def run(self) -> None:
        self._kernel.at(0.0, self._feed)
        self._kernel.run()

    def _feed(self) -> None:
        """Start items while the window has room and the pace allows it."""
        while self._next < len(self._visits) and self._in_flight < self._window:
            if self._kernel.now_s < self._free_s:
                self._kernel.at(self._free_s, self._feed)
                return
            self._free_s = self._kernel.now_s + self._fed_every_s
            self._in_flight += 1
            self._next += 1
            self.started_s.append(self._kernel.now_s)
            self._arrive(self._next - 1, 0)

    def _arrive(self, item: int, stage: int) -> None:
        self._queues[stage].append(item)
        self._serve(stage)

    def _serve(self, stage: int) -> None:
        if self._busy[stage] or not self._queues[stage]:
            return
        item = self._queues[stage].popleft()
        visit, self._busy[stage] = self._visits[item][stage], True
        busy_s = visit.busy_s * float(self._factors[item, stage])
        self.busy_s[item, stage], self.joules[item, stage] = busy_s, visit.joules
        taken_s = max(visit.receive_s, busy_s) if self._overlap else visit.receive_s + busy_s
        self._kernel.at(self._kernel.now_s + taken_s, partial(self._done, item, stage))

    def _done(self, item: int, stage: int) -> None:
        self._busy[stage] = False
        self._serve(stage)
        if stage + 1 < len(self._queues):
            self._arrive(item, stage + 1)
            return
        self.answered_s.append(self._kernel.now_s)
        self._in_flight -= 1
        self._feed()


def _summed(truth: PoolProblem, schedule: PoolSchedule, line: _Line) -> Judged:
    """Means over the items after the pipeline has filled; the stages keep the order of items."""
    items = len(line.answered_s)
    warm = max(1, int(WARM * items))
    period_s = (line.answered_s[-1] - line.answered_s[warm - 1]) / (items - warm)
    watts = np.array([stage.count * truth.pools.by_name[stage.device].dynamic_w for stage in schedule.stages])
    dynamic_j = float((line.busy_s[warm:] @ watts).mean())  # of computing
    dynamic_j += float(line.joules[warm:].sum(axis=1).mean())  # of links
    latencies_s = np.array(line.answered_s) - np.array(line.started_s)
    energy_j = dynamic_j + truth.pools.static_w(schedule.used) * period_s
    return Judged(schedule, period_s, float(latencies_s[warm:].mean()), energy_j, items)
