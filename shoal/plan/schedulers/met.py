"""Minimum execution time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.plan.schedulers._ready import by_priority
from shoal.plan.schedulers._timeline import Bookings
from shoal.plan.schedulers.contract import Schedule
from shoal.program.tasks import Processors, TaskGraph


@dataclass(frozen=True)
class Met:
    """First come, first served, each task on the processor that runs it fastest, however busy that is."""

    def schedule(self, tasks: TaskGraph, processors: Processors) -> Schedule:
        """See `Scheduler.schedule`."""
        bookings = Bookings(tasks, processors, insertion=False)
        return bookings.book_all(by_priority(tasks, bookings.ready_s), lambda v: int(np.argmin(tasks.w[v])))
