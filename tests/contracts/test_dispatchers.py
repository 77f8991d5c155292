"""What every dispatcher promises: each task handed out once and in time, the same for the same events."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import catalog
from shoal.program.jobs import Assign, Dispatcher, JobEvent, JobsRun, JobStream, poisson_stream
from shoal.program.tasks import Processors, TaskGraph
from shoal.sim.jobs import simulate_jobs
from tests.plan.schedulers.graphs import canonical, random_case, three

DISPATCHERS = catalog.names("plan/dispatchers")
VARIANTS = (*DISPATCHERS, "heft:hold=true", "heft:jobs=in_turn,hold=true", "fifo:hold=true")


def dispatcher(name: str) -> Dispatcher:
    found: Dispatcher = catalog.make("plan/dispatchers", name)
    return found


def random_stream(seed: int) -> tuple[JobStream, Processors]:
    """Some jobs of a few kinds that fit the same random processors, with noise or without."""
    rng = np.random.default_rng(seed)
    kinds: list[TaskGraph] = []
    while not kinds:
        _, processors = random_case(int(rng.integers(1 << 30)), 1, 4)
        drawn = (random_case(int(rng.integers(1 << 30)), 9, 4)[0] for _ in range(30))
        kinds = [tasks for tasks in drawn if len(tasks.seconds[0]) == len(processors.names)][:3]
    sigma = float(rng.choice([0.0, 0.5]))
    gap_s = float(rng.uniform(1, 40))
    return poisson_stream(kinds, int(rng.integers(1, 12)), gap_s, seed=seed, sigma=sigma), processors


def check(stream: JobStream, processors: Processors, run: JobsRun) -> None:
    """Every task once, for as long as it really takes, one at a time, in the order given, its data there first."""
    every = Counter((job, task) for job, tasks in enumerate(stream.jobs) for task in range(len(tasks.tasks)))
    assert Counter((span.job, span.task) for span in run.spans) == every
    ended = {(span.job, span.task): span for span in run.spans}
    for span in run.spans:
        tasks = stream.jobs[span.job]
        assert span.end_s - span.start_s == pytest.approx(stream.seconds(span.job, span.task, span.processor))
        assert span.start_s >= stream.times_s[span.job]
        for parent, edge in tasks.parents[span.task]:
            source = ended[span.job, parent]
            cost_s = processors.between_s(tasks.dependencies[edge], source.processor, span.processor)
            assert span.start_s >= source.end_s + cost_s - 1e-9
    for processor in range(len(processors.names)):
        given_out = [(each.job, each.task) for _, each in run.decisions if each.processor == processor]
        own = sorted((ended[key] for key in given_out), key=lambda span: (span.start_s, span.end_s))
        assert all(one.end_s <= other.start_s + 1e-9 for one, other in pairwise(own))
        assert [ended[key].start_s for key in given_out] == [span.start_s for span in own]
    for record in run.jobs:
        assert record.ended_s == max(span.end_s for span in run.spans if span.job == record.job)


@pytest.mark.parametrize("name", VARIANTS)
@given(seed=st.integers(0, 100_000))
@settings(max_examples=25, deadline=None)
def test_streams_are_carried_out(name: str, seed: int) -> None:
    stream, processors = random_stream(seed)
    run = simulate_jobs(stream, processors, dispatcher(name))
    check(stream, processors, run)
    assert run == simulate_jobs(stream, processors, dispatcher(name))


@dataclass(frozen=True)
class Recorded:
    """Another dispatcher, with all it was told."""

    inner: Dispatcher
    told: list[tuple[JobEvent, float]] = field(default_factory=list)

    def begin(self, processors: Processors) -> Any:
        return self.inner.begin(processors)

    def step(self, state: Any, event: JobEvent, time_s: float) -> tuple[Any, tuple[Assign, ...]]:
        self.told.append((event, time_s))
        return self.inner.step(state, event, time_s)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_step_is_a_pure_function(name: str) -> None:
    """From any state, the same event gives the same answer, whatever was done with the state in between."""
    stream = poisson_stream([canonical()], 8, 30.0, seed=3, sigma=0.4)
    recorded = Recorded(dispatcher(name))
    simulate_jobs(stream, three(), recorded)
    asked = dispatcher(name)
    states, answers = [asked.begin(three())], []
    for event, time_s in recorded.told:
        state, assigned = asked.step(states[-1], event, time_s)
        states.append(state)
        answers.append(assigned)
    for state, (event, time_s), assigned in zip(states, recorded.told, answers, strict=False):
        assert asked.step(state, event, time_s)[1] == assigned
    assert not states[-1].live
    assert not states[-1].ready


@pytest.mark.parametrize("name", VARIANTS)
def test_a_processor_that_cannot_is_never_chosen(name: str) -> None:
    tasks = TaskGraph("odd", ("a", "b"), ((1.0, float("inf")), (float("inf"), 1.0)))
    run = simulate_jobs(JobStream((tasks,) * 5, (0.0,) * 5), Processors.alike(("p", "q")), dispatcher(name))
    assert {(span.task, span.processor) for span in run.spans} == {(0, 0), (1, 1)}
