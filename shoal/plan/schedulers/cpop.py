"""Critical path on a processor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.plan.schedulers._ranks import downward, rounded, upward
from shoal.plan.schedulers._ready import by_priority
from shoal.plan.schedulers._timeline import Bookings
from shoal.plan.schedulers.contract import Schedule
from shoal.program.tasks import Processors, TaskGraph

ALIKE = 1e-9  # difference of priorities, the largest being 1, that is none


@dataclass(frozen=True)
class Cpop:
    """The critical path on the one processor that runs it fastest. [Topcuoglu et al., IEEE TPDS 13(3), 2002]

    Of the ready tasks the one on the longest way goes first; those that are not on the path, or that its processor
    cannot run, go where they end first.
    """

    insertion: bool = True  # a task may go into a gap between two that are booked

    def schedule(self, tasks: TaskGraph, processors: Processors) -> Schedule:
        """See `Scheduler.schedule`."""
        bookings = Bookings(tasks, processors, insertion=self.insertion)
        priority = rounded(upward(tasks, processors) + downward(tasks, processors))
        path = critical_path(tasks, priority)
        home = _fastest(tasks, path)
        fixed = {v for v in path if np.isfinite(tasks.w[v, home])}
        return bookings.book_all(
            by_priority(tasks, lambda v: -priority[v]), lambda v: home if v in fixed else bookings.soonest(v)
        )


def critical_path(tasks: TaskGraph, priority: NDArray[np.float64]) -> list[int]:
    """One way from the entry of the largest priority along tasks of the same; of several the lowest index."""
    entries = [v for v in tasks.order if not tasks.parents[v]]
    path = [max(entries, key=lambda v: (priority[v], -v))]
    while following := [s for s, _ in tasks.children[path[-1]] if priority[s] >= priority[path[0]] - ALIKE]:
        path.append(min(following))
    return path


def _fastest(tasks: TaskGraph, path: list[int]) -> int:
    """The processor that can run most of the path, and of those the one that runs it fastest."""
    rows = tasks.w[path]
    able = np.isfinite(rows)
    refused, seconds = (~able).sum(axis=0), np.where(able, rows, 0.0).sum(axis=0)
    return min(range(tasks.w.shape[1]), key=lambda p: (int(refused[p]), float(seconds[p])))
