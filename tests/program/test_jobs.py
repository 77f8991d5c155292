"""Streams of jobs at the door, their noise, and the figures of a run."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from shoal.errors import PlanError
from shoal.program.jobs import JobRecord, JobsRun, JobStream, TaskSpan, poisson_stream
from shoal.program.tasks import Processors, TaskGraph

SHORT, LONG = TaskGraph("short", ("a",), ((1.0, 2.0),)), TaskGraph("long", ("a",), ((9.0, 9.0),))


def test_gaps_are_exponential_and_kinds_are_mixed() -> None:
    made = poisson_stream([SHORT, LONG], 2000, 3.0, seed=4)
    gaps = np.diff(made.times_s)
    assert made.times_s[0] == 0
    assert gaps.mean() == pytest.approx(3.0, rel=0.1)
    assert gaps.std() == pytest.approx(3.0, rel=0.15)
    assert 0.4 < sum(job is LONG for job in made.jobs) / 2000 < 0.6
    assert made == poisson_stream([SHORT, LONG], 2000, 3.0, seed=4)
    assert made != poisson_stream([SHORT, LONG], 2000, 3.0, seed=5)


def test_noise_belongs_to_a_task_and_not_to_a_processor() -> None:
    made = JobStream((SHORT,) * 3000, (0.0,) * 3000, sigma=0.5, seed=1)
    factors = np.array([made.factor(job, 0) for job in range(3000)])
    assert factors.mean() == pytest.approx(1.0, abs=0.04)
    assert factors.std() == pytest.approx(0.5, rel=0.1)  # a little less, since it is clipped
    assert factors.min() == 0.1
    assert made.seconds(7, 0, 1) == 2 * made.seconds(7, 0, 0) == 2 * factors[7]
    assert JobStream((SHORT,), (0.0,)).seconds(0, 0, 1) == 2.0


@pytest.mark.parametrize(
    ("message", "given"),
    [
        (r"job 1: times of arrival .*needed at least 2.0 s, had 1.0 s", {"times_s": (2.0, 1.0)}),
        (r"job 0: times of arrival .*had -1.0 s", {"times_s": (-1.0, 1.0)}),
        (r"each job needs a time of arrival \(needed 2, had 1\)", {"times_s": (0.0,)}),
        (r"deviation of task times is negative", {"times_s": (0.0, 0.0), "sigma": -0.1}),
    ],
)
def test_streams_that_cannot_be_are_refused(message: str, given: dict[str, object]) -> None:
    with pytest.raises(PlanError, match=message):
        JobStream((SHORT, LONG), **given)


@pytest.mark.parametrize("gap_s", [0.0, -1.0, inf])
def test_a_gap_of_zero_or_below_is_refused(gap_s: float) -> None:
    with pytest.raises(PlanError, match=f"mean gap between jobs .*had {gap_s} s"):
        poisson_stream([SHORT], 3, gap_s, seed=0)
    with pytest.raises(PlanError, match="at least one kind of job"):
        poisson_stream([], 3, 1.0, seed=0)


def test_figures_of_a_run_by_hand() -> None:
    there = Processors(("p", "q"), ((0.0,) * 2,) * 2, ((1.0,) * 2,) * 2, busy_w=(10.0, 20.0), idle_w=(1.0, 2.0))
    jobs = (JobRecord(0, 1.0, 5.0), JobRecord(1, 2.0, 4.0), JobRecord(2, 9.0, None))
    spans = (TaskSpan(1, 0, 1, 2.0, 4.0), TaskSpan(0, 0, 0, 2.0, 5.0))
    run = JobsRun(there, jobs, spans, (), "simulated")
    assert (run.done, run.mean_duration_s, run.makespan_s, run.busy_s) == (2, 3.0, 5.0, (3.0, 2.0))
    assert run.energy_j == 3 * 10 + 2 * 20 + 5 * (1 + 2)
    silent = JobsRun(Processors.alike(("p", "q")), jobs[2:], (), (), "simulated")
    assert (silent.energy_j, silent.mean_duration_s, silent.makespan_s) == (None, None, 0.0)
