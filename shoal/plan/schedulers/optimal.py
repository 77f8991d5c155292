"""The shortest schedule there is, by branch and bound: the oracle for small graphs."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from shoal.errors import LimitError
from shoal.plan.schedulers.contract import Schedule, Slot
from shoal.plan.schedulers.heft import Heft
from shoal.plan.schedulers.peft import Peft
from shoal.program.tasks import Processors, TaskGraph, check_fit

CLOSE = 1e-12  # an improvement smaller than this, relative to the makespan, is none


@dataclass(frozen=True)
class Optimal:
    """Try every order and processor, and turn back where a bound says that nothing better can follow.

    Some schedule of the least makespan appends tasks in the order of their starts: move every task of an optimal one
    as far forward as its processor's order allows, then sort by start. Only such sequences are tried.
    """

    most_tasks: int = 10  # refuse larger graphs
    most_steps: int = 5_000_000  # bookings to try before giving up, some 10 µs each

    def schedule(self, tasks: TaskGraph, processors: Processors) -> Schedule:
        """See `Scheduler.schedule`.

        Raises:
            LimitError: more tasks than `most_tasks`, or more steps than `most_steps`.
        """
        check_fit(tasks, processors)
        if len(tasks.tasks) > self.most_tasks:
            raise LimitError(
                "too many tasks to try every schedule", where=tasks.name or None,
                needed=f"at most {self.most_tasks}", had=str(len(tasks.tasks)), hint="use peft or heft",
            )  # fmt: skip
        first = min((each.schedule(tasks, processors) for each in (Heft(), Peft())), key=lambda s: s.makespan_s)
        search = _Search(tasks, processors, first.makespan_s, self.most_steps)
        search.descend(0.0)
        return first if search.best is None else _named(tasks, processors, search.best)


def _named(tasks: TaskGraph, processors: Processors, found: list[tuple[int, int, float, float]]) -> Schedule:
    return Schedule(tuple(Slot(tasks.tasks[v], processors.names[p], start, end) for v, p, start, end in found))


class _Search:
    """Depth first over (task, processor) pairs; `best` is None as long as nothing beats the first bound."""

    def __init__(self, tasks: TaskGraph, processors: Processors, bound_s: float, most_steps: int) -> None:
        self._tasks, self._count, self._steps = tasks, len(processors.names), most_steps
        self._cost = [processors.cost_s(each).tolist() for each in tasks.dependencies]
        self._least = [min(row) for row in tasks.seconds]
        self._tail = [0.0] * len(tasks.tasks)  # least seconds from a task's end to the end of all
        for v in reversed(tasks.order):
            self._tail[v] = max((self._least[s] + self._tail[s] for s, _ in tasks.children[v]), default=0.0)
        self._bound_s = bound_s
        self._missing = [len(each) for each in tasks.parents]
        self._where: list[int] = [-1] * len(tasks.tasks)
        self._end: list[float] = [0.0] * len(tasks.tasks)
        self._free = [0.0] * self._count
        self._left = sum(self._least)  # least seconds of all tasks not booked
        self._path: list[tuple[int, int, float, float]] = []
        self.best: list[tuple[int, int, float, float]] | None = None

    def descend(self, last_s: float) -> None:
        """Book each task that is free to go, wherever it would start at `last_s` or later."""
        if len(self._path) == len(self._tasks.tasks):
            makespan_s = max(self._end)
            if makespan_s < self._bound_s * (1 - CLOSE):
                self._bound_s, self.best = makespan_s, list(self._path)
            return
        for v, p, start_s, end_s in self._moves(last_s):
            if self._promising(v, p, start_s, end_s):
                self._book(v, p, start_s, end_s)

    def _moves(self, last_s: float) -> list[tuple[int, int, float, float]]:
        """Task, processor, start, end; the most promising first."""
        found = []
        for v, missing in enumerate(self._missing):
            if missing or self._where[v] >= 0:
                continue
            for p, seconds in enumerate(self._tasks.seconds[v]):
                if seconds < inf and (start_s := self._start(v, p)) >= last_s:
                    found.append((start_s + seconds + self._tail[v], v, p, start_s, start_s + seconds))
        return [move[1:] for move in sorted(found)]

    def _start(self, v: int, p: int) -> float:
        start_s = self._free[p]
        for u, edge in self._tasks.parents[v]:
            start_s = max(start_s, self._end[u] + self._cost[edge][self._where[u]][p])
        return start_s

    def _promising(self, v: int, p: int, start_s: float, end_s: float) -> bool:
        """Whether the way after `v`, and the work that is left spread evenly, could end before the bound.

        What is booked later starts at `start_s` or later, so no processor takes work earlier than that.
        """
        limit_s = self._bound_s * (1 - CLOSE)
        if end_s + self._tail[v] >= limit_s:
            return False
        free = sum(max(start_s, end_s if q == p else free_s) for q, free_s in enumerate(self._free))
        return (free + self._left - self._least[v]) / self._count < limit_s

    def _book(self, v: int, p: int, start_s: float, end_s: float) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise LimitError("too many schedules to try", where=self._tasks.name or None, hint="use peft or heft")
        before_s = self._free[p]
        self._where[v], self._end[v], self._free[p] = p, end_s, end_s
        self._left -= self._least[v]
        self._path.append((v, p, start_s, end_s))
        for child, _ in self._tasks.children[v]:
            self._missing[child] -= 1
        self.descend(start_s)
        for child, _ in self._tasks.children[v]:
            self._missing[child] += 1
        self._path.pop()
        self._left += self._least[v]
        self._where[v], self._end[v], self._free[p] = -1, 0.0, before_s
