"""The rule by which a dispatcher's decisions are carried out, the same in simulated and in real time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from shoal.errors import WorkError
from shoal.program.jobs import Assign, JobArrived, JobRecord, JobsRun, JobStream, TaskDone, TaskSpan
from shoal.program.tasks import Matrix, Processors, check_fit
from shoal.record import Provenance


class Floor:
    """What both clocks go by: which tasks of which jobs may be handed out, where their data is, what has ended."""

    def __init__(self, stream: JobStream, processors: Processors) -> None:
        """Raises PlanError where a job's times are not those of the processors."""
        for tasks in {id(tasks): tasks for tasks in stream.jobs}.values():
            check_fit(tasks, processors)
        self._stream, self._processors = stream, processors
        self._costs: dict[int, list[Matrix]] = {}  # by id of a job's graph: c of each dependency
        self._missing: dict[int, list[int]] = {}  # job → task → parents that run; -1: handed out
        self._ended: dict[int, dict[int, tuple[float, int]]] = {}  # job → task → when, where
        self._job_ended_s: dict[int, float] = {}
        self._spans: list[TaskSpan] = []
        self._decisions: list[tuple[float, Assign]] = []

    def arrive(self, job: int) -> JobArrived:
        """Take the job in; returns the event that says so."""
        tasks = self._stream.jobs[job]
        self._missing[job] = [len(each) for each in tasks.parents]
        self._ended[job] = {}
        if id(tasks) not in self._costs:
            self._costs[id(tasks)] = [self._processors.cost_s(each).tolist() for each in tasks.dependencies]
        return JobArrived(job, tasks)

    def assign(self, assign: Assign, time_s: float) -> float:
        """Note a decision; returns when the task's data is there.

        Raises:
            WorkError: the task cannot be handed out, or not to that processor.
        """
        self._check(assign)
        self._missing[assign.job][assign.task] = -1
        self._decisions.append((time_s, assign))
        tasks, ended = self._stream.jobs[assign.job], self._ended[assign.job]
        costs, there_s = self._costs[id(tasks)], time_s
        for parent, edge in tasks.parents[assign.task]:
            end_s, where = ended[parent]
            there_s = max(there_s, end_s + costs[edge][where][assign.processor])
        return there_s

    def end(self, span: TaskSpan) -> TaskDone:
        """Note that a task ended; returns the event that says so."""
        tasks, missing = self._stream.jobs[span.job], self._missing[span.job]
        self._ended[span.job][span.task] = (span.end_s, span.processor)
        self._spans.append(span)
        for child, _ in tasks.children[span.task]:
            missing[child] -= 1
        if len(self._ended[span.job]) == len(tasks.tasks):
            self._job_ended_s[span.job] = span.end_s
            del self._missing[span.job], self._ended[span.job]
        return TaskDone(span.job, span.task, span.processor)

    def done(self, provenance: Provenance) -> JobsRun:
        """What came of it."""
        times = self._stream.times_s
        jobs = (JobRecord(job, time_s, self._job_ended_s.get(job)) for job, time_s in enumerate(times))
        return JobsRun(self._processors, tuple(jobs), tuple(self._spans), tuple(self._decisions), provenance)

    def waiting(self) -> Mapping[int, Sequence[str]]:
        """Names of the tasks that could be handed out and were not, by job."""
        found = {
            job: [self._stream.jobs[job].tasks[task] for task, count in enumerate(missing) if count == 0]
            for job, missing in self._missing.items()
        }
        return {job: names for job, names in found.items() if names}

    def _check(self, assign: Assign) -> None:
        missing = self._missing.get(assign.job)
        where = f"job {assign.job}, task {assign.task}"
        if missing is None or not 0 <= assign.task < len(missing):
            raise WorkError("the dispatcher handed out a task that is not there", where=where)
        if not 0 <= assign.processor < len(self._processors.names):
            raise WorkError(f"the dispatcher chose processor {assign.processor}, which is not there", where=where)
        if missing[assign.task] < 0:
            raise WorkError("the dispatcher handed out a task twice", where=where)
        if missing[assign.task]:
            raise WorkError("the dispatcher handed out a task before its parents ended", where=where)
        if self._stream.jobs[assign.job].seconds[assign.task][assign.processor] == inf:
            name = self._processors.names[assign.processor]
            raise WorkError(f"the dispatcher chose '{name}', which cannot run the task", where=where)


def refuse_waiting(floor: Floor) -> None:
    """What to say when nothing runs, nothing will come, and work is left.

    Raises:
        WorkError: work is left.
    """
    left = floor.waiting()
    if left:
        job, names = next(iter(left.items()))
        raise WorkError("the dispatcher left tasks that nothing will remind it of", where=f"job {job}",
                        had=", ".join(names[:5]))  # fmt: skip
