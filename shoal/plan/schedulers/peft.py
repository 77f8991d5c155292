"""Predict earliest finish time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.plan.schedulers._ranks import optimistic, rounded
from shoal.plan.schedulers._ready import by_priority
from shoal.plan.schedulers._timeline import Bookings
from shoal.plan.schedulers.contract import Schedule
from shoal.program.tasks import Processors, TaskGraph


@dataclass(frozen=True)
class Peft:
    """Look ahead by the optimistic cost table. [Arabnejad and Barbosa, IEEE TPDS 25(3), 2014]

    Of the ready tasks that of the highest mean OCT goes first, to where its earliest end plus its OCT is smallest.
    The mean is over the processors that can run the task.
    """

    insertion: bool = True  # a task may go into a gap between two that are booked

    def schedule(self, tasks: TaskGraph, processors: Processors) -> Schedule:
        """See `Scheduler.schedule`."""
        bookings = Bookings(tasks, processors, insertion=self.insertion)
        table = optimistic(tasks, processors)
        able = np.isfinite(tasks.w)
        rank = rounded(np.where(able, table, 0.0).sum(axis=1) / able.sum(axis=1))
        return bookings.book_all(
            by_priority(tasks, lambda v: -rank[v]), lambda v: bookings.soonest(v, lambda p: float(table[v, p]))
        )
