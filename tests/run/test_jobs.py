"""Streams of jobs in real time: real threads that work, the decisions of the simulated clock."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from shoal import catalog
from shoal.errors import WorkError
from shoal.program.jobs import JobsRun, JobStream, poisson_stream
from shoal.program.tasks import Dependency, Processors, TaskGraph
from shoal.run.jobs import Products, run_jobs, slept
from shoal.sim.jobs import simulate_jobs
from tests.contracts.test_dispatchers import VARIANTS, Recorded, dispatcher
from tests.plan.schedulers.graphs import canonical, three
from tests.sim.test_jobs import FAULTS, LINE, PAIR, Says

TRIES = 4
APART_S = 0.02  # what happens further apart than this happens in the same order on a machine that is not too busy


def in_ms(tasks: TaskGraph) -> TaskGraph:
    """The same graph, a thousand times quicker."""
    edges = tuple(replace(each, seconds=each.seconds / 1000) for each in tasks.dependencies)
    return TaskGraph(tasks.name, tasks.tasks, tuple(tuple(s / 1000 for s in row) for row in tasks.seconds), edges)


def check_real(stream: JobStream, processors: Processors, run: JobsRun) -> None:
    """Nothing starts before its data is there, nothing overlaps, nothing ends too soon."""
    ended = {(span.job, span.task): span for span in run.spans}
    assert len(ended) == sum(len(tasks.tasks) for tasks in stream.jobs)
    for span in run.spans:
        tasks = stream.jobs[span.job]
        assert span.end_s - span.start_s >= stream.seconds(span.job, span.task, span.processor) - 1e-4
        for parent, edge in tasks.parents[span.task]:
            source = ended[span.job, parent]
            cost_s = processors.between_s(tasks.dependencies[edge], source.processor, span.processor)
            assert span.start_s >= source.end_s + cost_s - 1e-4
    for processor in range(len(processors.names)):
        own = sorted((span.start_s, span.end_s) for span in run.spans if span.processor == processor)
        assert all(one[1] <= other[0] for one, other in pairwise(own))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_events_give_the_same_decisions(name: str) -> None:
    """What a dispatcher decided in real time, it decides again when told the same from a list."""
    stream = poisson_stream([in_ms(canonical())], 4, 0.03, seed=1, sigma=0.3)
    recorded = Recorded(dispatcher(name))
    run = run_jobs(stream, three(), recorded)
    check_real(stream, three(), run)
    asked, again = dispatcher(name), []
    state = asked.begin(three())
    for event, time_s in recorded.told:
        state, assigned = asked.step(state, event, time_s)
        again += [(time_s, each) for each in assigned]
    assert tuple(again) == run.decisions


def far_apart() -> tuple[JobStream, Processors]:
    """Two jobs of a fork and a join on two processors; all that happens is at least APART_S from the rest."""
    edges = (Dependency("a", "b", 10), Dependency("a", "c", 10), Dependency("b", "d", 10), Dependency("c", "d", 10))
    seconds = ((0.1, 0.135), (0.11, 0.115), (0.065, 0.08), (0.03, 0.13))
    job = TaskGraph("fork", ("a", "b", "c", "d"), seconds, edges)
    return JobStream((job, job), (0.0, 0.125)), Processors.alike(("p", "q"), 0.004, 1e4)


@pytest.mark.parametrize("name", VARIANTS)
def test_both_clocks_see_the_same_decisions_in_the_same_order(name: str) -> None:
    stream, processors = far_apart()
    simulated = simulate_jobs(stream, processors, dispatcher(name))
    moments = sorted({*stream.times_s, *(span.end_s for span in simulated.spans)})
    assert min(b - a for a, b in pairwise(moments)) > APART_S
    for _ in range(TRIES):
        real = run_jobs(stream, processors, dispatcher(name))
        check_real(stream, processors, real)
        if [each for _, each in real.decisions] == [each for _, each in simulated.decisions]:
            break
    assert [each for _, each in real.decisions] == [each for _, each in simulated.decisions]
    assert [(s.job, s.task) for s in real.spans] == [(s.job, s.task) for s in simulated.spans]
    assert real.provenance == "measured"


def test_processors_really_multiply() -> None:
    """The run takes the processor time of as many products done alone."""
    work = Products(size=64, product_s=2e-5)
    assert work.multiply(7) == pytest.approx(64, rel=1e-3)
    stream = JobStream((in_ms(canonical()),), (0.0,))
    before_s = time.process_time()
    run = run_jobs(stream, three(), dispatcher("fifo"), work)
    used_s = time.process_time() - before_s
    assert run.done == 1
    before_s = time.process_time()
    for span in run.spans:
        work(stream.seconds(span.job, span.task, span.processor))
    assert used_s > 0.5 * (time.process_time() - before_s)
    assert Products.timed(size=64, rounds=5).product_s > 0


@pytest.mark.parametrize(("assigned", "message"), FAULTS)
def test_a_dispatcher_that_breaks_the_rules_is_told(assigned: tuple[object, ...], message: str) -> None:
    quick = TaskGraph("pair", ("a", "b"), ((0.004, 0.006), (0.005, 0.002)), PAIR.dependencies)
    with pytest.raises(WorkError, match=message):
        run_jobs(JobStream((quick,), (0.0,)), LINE, Says(assigned))
    assert not [thread for thread in threading.enumerate() if thread.name in LINE.names]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_processor_that_fails_ends_the_run() -> None:
    def broken(seconds: float) -> None:
        raise OSError("no such thing")

    with pytest.raises(WorkError, match=r"p\d: its thread ended by a defect"):
        run_jobs(JobStream((in_ms(canonical()),), (0.0,)), three(), dispatcher("fifo"), broken)


def test_a_processor_that_hangs_is_noticed() -> None:
    with pytest.raises(WorkError, match=r"no task ended for 0\.05 s"):
        run_jobs(
            JobStream((TaskGraph("long", ("a",), ((0.4,),)),), (0.0,)), Processors.alike(("p",)),
            catalog.make("plan/dispatchers", "fifo"), slept, patience_s=0.05,
        )  # fmt: skip


def test_nothing_counts_after_the_end() -> None:
    job = TaskGraph("one", ("a",), ((0.05,),))
    run = run_jobs(
        JobStream((job,) * 3, (0.0, 0.0, 9.0), until_s=0.08), Processors.alike(("p",)), dispatcher("fifo")
    )
    assert [each.ended_s is not None for each in run.jobs] == [True, False, False]
