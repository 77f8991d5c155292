"""Streams of jobs in simulated time, by hand, and dispatchers that break the rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from shoal.errors import PlanError, WorkError
from shoal.plan.dispatchers.fifo import Fifo
from shoal.plan.dispatchers.heft import Heft
from shoal.plan.dispatchers.met import Met
from shoal.program.jobs import Assign, JobArrived, JobEvent, JobStream, poisson_stream
from shoal.program.tasks import Dependency, Processors, TaskGraph
from shoal.sim.jobs import simulate_jobs
from tests.plan.schedulers.graphs import canonical, three

PAIR = TaskGraph("pair", ("a", "b"), ((4.0, 6.0), (5.0, 2.0)), (Dependency("a", "b", 30),))
LINE = Processors.alike(("p", "q"), latency_s=1.0, bandwidth_bytes_per_s=15.0)  # b's data takes 3 s


def test_two_jobs_by_hand() -> None:
    """a on p to 4; b would end at 9 on p and at 4 + 3 + 2 = 9 on q: p. The second's a is quicker on q than after b."""
    run = simulate_jobs(JobStream((PAIR, PAIR), (0.0, 4.5)), LINE, Fifo())
    assert [(s.job, s.task, s.processor, s.start_s, s.end_s) for s in run.spans] == [
        (0, 0, 0, 0.0, 4.0), (0, 1, 0, 4.0, 9.0), (1, 0, 1, 4.5, 10.5), (1, 1, 1, 10.5, 12.5),
    ]  # fmt: skip
    assert [each.duration_s for each in run.jobs] == [9.0, 8.0]
    assert [time_s for time_s, _ in run.decisions] == [0.0, 4.0, 4.5, 10.5]
    assert run.provenance == "simulated"


def test_met_waits_for_the_quickest_processor() -> None:
    """b runs on q alone, once its data is there: 4 + 3; the second's a waits for p."""
    run = simulate_jobs(JobStream((PAIR, PAIR), (0.0, 1.0)), LINE, Met())
    assert [(s.job, s.task, s.processor, s.start_s, s.end_s) for s in run.spans] == [
        (0, 0, 0, 0.0, 4.0), (1, 0, 0, 4.0, 8.0), (0, 1, 1, 7.0, 9.0), (1, 1, 1, 11.0, 13.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("dispatcher", "makespan_s"), [(Fifo(), 80), (Met(), 89), (Fifo(hold=True), 80)])
def test_a_job_alone_is_what_the_scheduler_without_a_clock_makes_of_it(
    dispatcher: Fifo | Met, makespan_s: float
) -> None:
    run = simulate_jobs(JobStream((canonical(),), (3.0,)), three(), dispatcher)
    assert run.jobs[0].duration_s == makespan_s


def test_ranks_of_the_oldest_job_first_or_of_all() -> None:
    """Two tasks wait when p is free at 2: the younger job has more to come."""
    chain = TaskGraph("chain", ("a", "b"), ((1.0,), (5.0,)), (Dependency("a", "b"),))
    short = TaskGraph("short", ("a",), ((2.0,),))
    stream, single = JobStream((short, short, chain), (0.0, 1.0, 1.5)), Processors.alike(("p",))
    mixed = simulate_jobs(stream, single, Heft(hold=True))
    in_turn = simulate_jobs(stream, single, Heft(jobs="in_turn", hold=True))
    assert [span.job for span in mixed.spans] == [0, 2, 2, 1]
    assert [span.job for span in in_turn.spans] == [0, 1, 2, 2]
    assert [span.job for span in simulate_jobs(stream, single, Heft()).spans] == [0, 1, 2, 2]  # handed out at once


def test_nothing_counts_after_the_end() -> None:
    stream = JobStream((PAIR, PAIR, PAIR), (0.0, 4.5, 11.0), until_s=10.0)
    run = simulate_jobs(stream, LINE, Fifo())
    assert [each.ended_s for each in run.jobs] == [9.0, None, None]
    assert (run.done, run.mean_duration_s, len(run.spans)) == (1, 9.0, 2)


def test_times_of_other_processors_are_refused() -> None:
    with pytest.raises(PlanError, match="pair: each task needs a time for every processor"):
        simulate_jobs(JobStream((PAIR,), (0.0,)), three(), Fifo())


def test_noise_makes_the_same_stream_slower_or_quicker_alike_for_all() -> None:
    stream = poisson_stream([canonical()], 5, 1000.0, seed=2, sigma=0.3)
    runs = [simulate_jobs(stream, three(), each) for each in (Fifo(), Met())]
    spent = [{(s.job, s.task): (s.end_s - s.start_s) / canonical().w[s.task, s.processor] for s in run.spans}
             for run in runs]  # fmt: skip
    assert spent[0] == pytest.approx(spent[1])
    assert len({round(each, 6) for each in spent[0].values()}) == 50


@dataclass(frozen=True)
class Says:
    """A dispatcher that answers the first arrival with something fixed, and nothing else."""

    assigned: tuple[Assign, ...]

    def begin(self, processors: Processors) -> None: ...

    def step(self, state: Any, event: JobEvent, time_s: float) -> tuple[Any, tuple[Assign, ...]]:
        return None, self.assigned if isinstance(event, JobArrived) else ()


FAULTS = [
    ((Assign(0, 0, 0), Assign(0, 0, 1)), "job 0, task 0: the dispatcher handed out a task twice"),
    ((Assign(0, 1, 0),), "job 0, task 1: the dispatcher handed out a task before its parents ended"),
    ((Assign(0, 2, 0),), "job 0, task 2: the dispatcher handed out a task that is not there"),
    ((Assign(3, 0, 0),), "job 3, task 0: the dispatcher handed out a task that is not there"),
    ((Assign(0, 0, 2),), "the dispatcher chose processor 2, which is not there"),
    ((Assign(0, 0, 0),), r"job 0: the dispatcher left tasks that nothing will remind it of \(had b\)"),
    ((), r"job 0: the dispatcher left tasks that nothing will remind it of \(had a\)"),
]


@pytest.mark.parametrize(("assigned", "message"), FAULTS)
def test_a_dispatcher_that_breaks_the_rules_is_told(assigned: tuple[Assign, ...], message: str) -> None:
    with pytest.raises(WorkError, match=message):
        simulate_jobs(JobStream((PAIR,), (0.0,)), LINE, Says(assigned))


def test_a_processor_that_cannot_run_a_task_is_refused() -> None:
    only = TaskGraph("only", ("a",), ((1.0, float("inf")),))
    with pytest.raises(WorkError, match="the dispatcher chose 'q', which cannot run the task"):
        simulate_jobs(JobStream((only,), (0.0,)), LINE, Says((Assign(0, 0, 1),)))
