"""A stream of jobs in simulated time: the dispatcher's decisions carried out by the rule of `program.jobs`."""

from __future__ import annotations

from functools import partial
from math import inf

from shoal.events import Kernel
from shoal.program.floor import Floor, refuse_waiting
from shoal.program.jobs import Dispatcher, JobEvent, JobsRun, JobStream, TaskSpan
from shoal.program.tasks import Processors

# At one moment: what ended counts before what arrives.
ENDED, ARRIVED = range(2)


def simulate_jobs(stream: JobStream, processors: Processors, dispatcher: Dispatcher) -> JobsRun:
    """Run `stream` on `processors` in simulated time.

    Raises:
        PlanError: a job's times are not those of the processors.
        WorkError: the dispatcher hands out what cannot run, or leaves work undone.
    """
    return _Simulation(stream, processors, dispatcher).run()


class _Simulation:
    def __init__(self, stream: JobStream, processors: Processors, dispatcher: Dispatcher) -> None:
        self._stream, self._dispatcher = stream, dispatcher
        self._floor, self._kernel = Floor(stream, processors), Kernel()
        self._free_s = [0.0] * len(processors.names)
        self._state = dispatcher.begin(processors)

    def run(self) -> JobsRun:
        for job, time_s in enumerate(self._stream.times_s):
            if time_s <= self._stream.until_s:
                self._kernel.at(time_s, partial(self._arrive, job), ARRIVED)
        self._kernel.run()
        if self._stream.until_s == inf:
            refuse_waiting(self._floor)
        return self._floor.done("simulated")

    def _arrive(self, job: int) -> None:
        self._decide(self._floor.arrive(job))

    def _end(self, span: TaskSpan) -> None:
        self._decide(self._floor.end(span))

    def _decide(self, event: JobEvent) -> None:
        """Ask the dispatcher; a processor's queue is first in, first out, so a task's end is known at once."""
        now_s = self._kernel.now_s
        self._state, assigned = self._dispatcher.step(self._state, event, now_s)
        for each in assigned:
            there_s = self._floor.assign(each, now_s)
            start_s = max(self._free_s[each.processor], there_s)
            end_s = start_s + self._stream.seconds(each.job, each.task, each.processor)
            self._free_s[each.processor] = end_s
            if end_s <= self._stream.until_s:
                span = TaskSpan(each.job, each.task, each.processor, start_s, end_s)
                self._kernel.at(end_s, partial(self._end, span), ENDED)
