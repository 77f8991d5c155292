"""What a dispatcher knows: the live jobs, where their data is, and when it expects each processor to be free.

All of it is frozen; an event or a decision gives a new board. Expected times come from the profile, so where real
times stray a board is wrong until the next event puts it right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, NamedTuple, TypeVar

from shoal.program.jobs import Assign, JobArrived, JobEvent, TaskDone
from shoal.program.tasks import Processors, TaskGraph

T = TypeVar("T")
Notes = Callable[[TaskGraph], Any]


class Ready(NamedTuple):
    """A task that may be handed out, and since when."""

    since_s: float
    job: int
    task: int


class Booked(NamedTuple):
    """A task in a processor's queue, with the profile's times."""

    job: int
    task: int
    there_s: float  # its data
    seconds: float


@dataclass(frozen=True)
class Live:
    """A job that has not ended. `notes` is what the dispatcher worked out when it came."""

    tasks: TaskGraph
    arrived_s: float
    notes: Any
    missing: tuple[int, ...]  # parents of each task that have not ended
    ended: Mapping[int, tuple[float, int]] = field(default_factory=dict)  # task → when, on which processor


@dataclass(frozen=True)
class Board:
    """The state of a dispatcher."""

    processors: Processors
    live: Mapping[int, Live]  # by job
    ready: tuple[Ready, ...]  # first come first
    queues: tuple[tuple[Booked, ...], ...]  # by processor; the first one runs
    since_s: tuple[float, ...]  # from when each processor could deal with the first in its queue

    @classmethod
    def of(cls, processors: Processors) -> Board:
        """Nothing has come yet."""
        count = len(processors.names)
        return cls(processors, {}, (), ((),) * count, (0.0,) * count)

    def after(self, event: JobEvent, time_s: float, notes: Notes = lambda _: None) -> Board:
        """The board once `event` has happened; `notes` is asked about each job that arrives."""
        match event:
            case JobArrived(job=job, tasks=tasks):
                missing = tuple(len(each) for each in tasks.parents)
                fresh = tuple(Ready(time_s, job, v) for v, count in enumerate(missing) if not count)
                live = Live(tasks, time_s, notes(tasks), missing)
                return replace(self, live={**self.live, job: live}, ready=(*self.ready, *fresh))
            case TaskDone():
                return self._ended(event, time_s)

    def free_s(self, processor: int, time_s: float) -> float:
        """When `processor` is expected to have ended all that it was given; a task that is late ends now."""
        now_s = self.since_s[processor]
        for place, each in enumerate(self.queues[processor]):
            now_s = max(now_s, each.there_s) + each.seconds
            if not place:
                now_s = max(now_s, time_s)
        return max(now_s, time_s)

    def there_s(self, job: int, task: int, processor: int, time_s: float) -> float:
        """When the data of a ready task would be at `processor`, sent for at `time_s` at the latest."""
        live = self.live[job]
        cost = self.processors.between_s
        return max(
            (live.ended[u][0] + cost(live.tasks.dependencies[e], live.ended[u][1], processor)
             for u, e in live.tasks.parents[task]),
            default=time_s,
        )  # fmt: skip

    def finish_s(self, job: int, task: int, processor: int, time_s: float) -> float:
        """EFT: when `processor` would end a ready task, after all that it was given; inf if it cannot run it."""
        seconds = self.live[job].tasks.seconds[task][processor]
        if seconds == inf:
            return inf
        return max(self.free_s(processor, time_s), self.there_s(job, task, processor, time_s)) + seconds

    def soonest(self, job: int, task: int, time_s: float) -> int:
        """The processor of the smallest EFT; of equal ones the lowest index."""
        able = [p for p, seconds in enumerate(self.live[job].tasks.seconds[task]) if seconds < inf]
        return min(able, key=lambda p: self.finish_s(job, task, p, time_s))

    def given(self, assign: Assign, time_s: float) -> Board:
        """The board once a task has been handed out."""
        job, task, p = assign.job, assign.task, assign.processor
        booked = Booked(job, task, self.there_s(job, task, p, time_s), self.live[job].tasks.seconds[task][p])
        since_s = self.since_s if self.queues[p] else _with(self.since_s, p, time_s)
        ready = tuple(each for each in self.ready if each[1:] != (job, task))
        return replace(self, ready=ready, queues=_with(self.queues, p, (*self.queues[p], booked)), since_s=since_s)

    def _ended(self, event: TaskDone, time_s: float) -> Board:
        live, p = self.live[event.job], event.processor
        missing, fresh = list(live.missing), []
        for child, _ in live.tasks.children[event.task]:
            missing[child] -= 1
            if not missing[child]:
                fresh.append(Ready(time_s, event.job, child))
        ended = {**live.ended, event.task: (time_s, p)}
        left = {job: each for job, each in self.live.items() if job != event.job}
        if len(ended) < len(live.tasks.tasks):
            left[event.job] = replace(live, missing=tuple(missing), ended=ended)
        queue = tuple(each for each in self.queues[p] if each[:2] != (event.job, event.task))
        return Board(
            self.processors,
            left,
            (*self.ready, *fresh),
            _with(self.queues, p, queue),
            _with(self.since_s, p, time_s),
        )


def handed_out(
    board: Board, order: Iterable[Ready], choose: Callable[[Board, int, int], int], time_s: float, *, hold: bool
) -> tuple[Board, tuple[Assign, ...]]:
    """Give each of the ready tasks, in this order, to the processor that `choose` names.

    With `hold` only what a processor can turn to at once is handed out; of the rest is only thought, so that tasks
    further back see the processors taken, and it is decided anew at the next event.
    """
    seen, assigned = board, []
    for each in order:
        assign = Assign(each.job, each.task, choose(seen, each.job, each.task))
        if not hold or not seen.queues[assign.processor]:
            board = board.given(assign, time_s)
            assigned.append(assign)
        seen = seen.given(assign, time_s)
    return board, tuple(assigned)


def _with(row: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*row[:place], value, *row[place + 1 :])
