"""Bookings: who is taken when, when a task could end where, and the schedule that comes of it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable
from math import inf

from shoal.plan.schedulers.contract import Schedule, Slot
from shoal.program.tasks import Processors, TaskGraph, check_fit


class Timeline:
    """What one processor is booked for."""

    def __init__(self) -> None:
        self._taken: list[tuple[float, float]] = []  # start, end; by time

    def earliest(self, ready_s: float, seconds: float, *, insertion: bool) -> float:
        """The first start from `ready_s` on: in a gap that is long enough, or else after the last booking.

        Without insertion always after the last.
        """
        if not insertion:
            return max(ready_s, self._taken[-1][1] if self._taken else 0.0)
        free_s = 0.0
        for start_s, end_s in self._taken:
            begin_s = max(ready_s, free_s)
            if begin_s + seconds <= start_s:
                return begin_s
            free_s = max(free_s, end_s)
        return max(ready_s, free_s)

    def book(self, start_s: float, end_s: float) -> None:
        """Take it from `start_s` to `end_s`."""
        insort(self._taken, (start_s, end_s))


class Bookings:
    """A schedule in the making. Tasks and processors are indices."""

    def __init__(self, tasks: TaskGraph, processors: Processors, *, insertion: bool = True) -> None:
        check_fit(tasks, processors)
        self.tasks, self.processors, self._insertion = tasks, processors, insertion
        self._timelines = [Timeline() for _ in processors.names]
        self._costs_s: list[list[list[float]]] = [processors.cost_s(each).tolist() for each in tasks.dependencies]
        self._where: dict[int, int] = {}
        self.end_s: dict[int, float] = {}
        self._slots: list[Slot] = []

    def ready_s(self, task: int) -> float:
        """When the last parent of `task`, all of them booked, ends."""
        return max((self.end_s[u] for u, _ in self.tasks.parents[task]), default=0.0)

    def start_s(self, task: int, processor: int) -> float:
        """The earliest start of `task` on `processor`, its parents booked; inf where it cannot run."""
        seconds = self.tasks.seconds[task][processor]
        if seconds == inf:
            return inf
        ready_s = max(
            (self.end_s[u] + self._costs_s[e][self._where[u]][processor] for u, e in self.tasks.parents[task]),
            default=0.0,
        )
        return self._timelines[processor].earliest(ready_s, seconds, insertion=self._insertion)

    def finish_s(self, task: int, processor: int) -> float:
        """EFT: the earliest end of `task` on `processor`; inf where it cannot run."""
        return self.start_s(task, processor) + self.tasks.seconds[task][processor]

    def soonest(self, task: int, extra_s: Callable[[int], float] = lambda _: 0.0) -> int:
        """The processor of the smallest EFT plus `extra_s`; of equal ones the lowest index."""
        able = [p for p in range(len(self._timelines)) if self.tasks.seconds[task][p] < inf]
        return min(able, key=lambda p: self.finish_s(task, p) + extra_s(p))

    def book(self, task: int, processor: int) -> None:
        """Put `task` on `processor` at its earliest start."""
        start_s = self.start_s(task, processor)
        end_s = start_s + self.tasks.seconds[task][processor]
        self._timelines[processor].book(start_s, end_s)
        self._where[task], self.end_s[task] = processor, end_s
        self._slots.append(Slot(self.tasks.tasks[task], self.processors.names[processor], start_s, end_s))

    def book_all(self, order: Iterable[int], choose: Callable[[int], int]) -> Schedule:
        """Book the tasks in this order, each on the processor that `choose` names when its turn comes."""
        for task in order:
            self.book(task, choose(task))
        return self.done()

    def done(self) -> Schedule:
        """The schedule as it stands."""
        return Schedule(tuple(self._slots))
