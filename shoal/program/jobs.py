"""Streams of jobs: what arrives, what a dispatcher is, and what came of it.

A job is a task graph with a time of arrival. A dispatcher decides at each event which ready tasks go to which
processor: a pure function `step(state, event, time_s)`, fed by the simulator's clock or by the real one. A processor
runs what it was given in that order, each task once its data is there, and to its end.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import inf
from typing import Any, Protocol

import numpy as np

from shoal.errors import PlanError
from shoal.program.tasks import Processors, TaskGraph
from shoal.record import Provenance

LEAST_FACTOR = 0.1  # noise never makes a task quicker than this share of its profile


@dataclass(frozen=True, slots=True)
class JobArrived:
    """A job is there."""

    job: int  # its number in the stream
    tasks: TaskGraph


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A processor ended a task; its data sets out for whoever needs it."""

    job: int
    task: int  # index in the job's graph
    processor: int  # index


JobEvent = JobArrived | TaskDone


@dataclass(frozen=True, slots=True)
class Assign:
    """Put a task whose parents have all ended at the end of a processor's queue."""

    job: int
    task: int
    processor: int


class Dispatcher(Protocol):
    """A technique of `plan/dispatchers`. It never sleeps, reads a clock, or draws an unseeded random number."""

    def begin(self, processors: Processors) -> Any:
        """The first state, a frozen value."""

    def step(self, state: Any, event: JobEvent, time_s: float) -> tuple[Any, tuple[Assign, ...]]:
        """The next state and what to hand out now. Tasks not handed out are asked for again at the next event."""


@dataclass(frozen=True)
class JobStream:
    """What arrives, in the order of time, and how far real times stray from the profile.

    Raises:
        PlanError: times that go back or lie before zero, a negative deviation.
    """

    jobs: tuple[TaskGraph, ...]
    times_s: tuple[float, ...]  # of arrival
    sigma: float = 0.0  # a task takes profile · N(1, sigma), at least LEAST_FACTOR of the profile
    seed: int = 0  # of the noise: the same job and task stray alike under every dispatcher
    until_s: float = inf  # nothing counts that happens later

    def __post_init__(self) -> None:
        if len(self.jobs) != len(self.times_s):
            raise PlanError(
                "each job needs a time of arrival", needed=str(len(self.jobs)), had=str(len(self.times_s))
            )
        for job, (before_s, time_s) in enumerate(pairwise((0.0, *self.times_s))):
            if not before_s <= time_s < inf:
                raise PlanError("times of arrival begin at zero or later and never go back", where=f"job {job}",
                                needed=f"at least {before_s} s", had=f"{time_s} s")  # fmt: skip
        if not 0 <= self.sigma < inf:
            raise PlanError("the deviation of task times is negative or not finite", had=str(self.sigma))

    def factor(self, job: int, task: int) -> float:
        """By how much this task strays from its profile, on whichever processor."""
        if not self.sigma:
            return 1.0
        drawn = np.random.default_rng((self.seed, job, task)).normal(1.0, self.sigma)
        return max(LEAST_FACTOR, float(drawn))

    def seconds(self, job: int, task: int, processor: int) -> float:
        """What the task really takes there."""
        return self.jobs[job].seconds[task][processor] * self.factor(job, task)


def poisson_stream(
    kinds: Sequence[TaskGraph],
    count: int,
    mean_gap_s: float,
    *,
    seed: int,
    sigma: float = 0.0,
    until_s: float = inf,
) -> JobStream:
    """`count` jobs of kinds drawn at random, with exponential gaps between them, the first at zero.

    Raises:
        PlanError: no kinds, less than one job, or a mean gap of zero or below.
    """
    if not kinds or count < 1:
        raise PlanError("a stream needs at least one kind of job and one job", had=f"{len(kinds)} and {count}")
    if not 0 < mean_gap_s < inf:
        raise PlanError("the mean gap between jobs must be above zero and finite", had=f"{mean_gap_s} s")
    source = random.Random(seed)
    now_s, jobs, times_s = 0.0, [], []
    for _ in range(count):
        jobs.append(source.choice(kinds))
        times_s.append(now_s)
        now_s += source.expovariate(1.0 / mean_gap_s)
    return JobStream(tuple(jobs), tuple(times_s), sigma, seed, until_s)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What became of one job."""

    job: int
    arrived_s: float
    ended_s: float | None  # None: not within the time

    @property
    def duration_s(self) -> float | None:
        """From its arrival to the end of its last task."""
        return None if self.ended_s is None else self.ended_s - self.arrived_s


@dataclass(frozen=True, slots=True)
class TaskSpan:
    """One task where and when it ran."""

    job: int
    task: int
    processor: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class JobsRun:
    """What a dispatcher made of a stream."""

    processors: Processors
    jobs: tuple[JobRecord, ...]
    spans: tuple[TaskSpan, ...]  # in the order in which they ended
    decisions: tuple[tuple[float, Assign], ...]  # with the time each was made
    provenance: Provenance

    @property
    def done(self) -> int:
        """Jobs that ended."""
        return sum(each.ended_s is not None for each in self.jobs)

    @property
    def makespan_s(self) -> float:
        """When the last task ended."""
        return max((span.end_s for span in self.spans), default=0.0)

    @property
    def mean_duration_s(self) -> float | None:
        """Mean over the jobs that ended; None if none did."""
        found = [each.duration_s for each in self.jobs if each.duration_s is not None]
        return sum(found) / len(found) if found else None

    @cached_property
    def busy_s(self) -> tuple[float, ...]:
        """Of each processor."""
        found = [0.0] * len(self.processors.names)
        for span in self.spans:
            found[span.processor] += span.end_s - span.start_s
        return tuple(found)

    @property
    def energy_j(self) -> float | None:
        """Idle power over the makespan and busy power over the busy times; None where no powers are stated."""
        if not self.processors.busy_w:
            return None
        busy = sum(watts * seconds for watts, seconds in zip(self.processors.busy_w, self.busy_s, strict=True))
        return busy + sum(self.processors.idle_w) * self.makespan_s
