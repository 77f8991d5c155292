"""First come, first served."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.plan.schedulers._ready import by_priority
from shoal.plan.schedulers._timeline import Bookings
from shoal.plan.schedulers.contract import Schedule
from shoal.program.tasks import Processors, TaskGraph


@dataclass(frozen=True)
class Fifo:
    """First come, first served, each task on the processor that ends it first, after what is booked there."""

    def schedule(self, tasks: TaskGraph, processors: Processors) -> Schedule:
        """See `Scheduler.schedule`."""
        bookings = Bookings(tasks, processors, insertion=False)
        return bookings.book_all(by_priority(tasks, bookings.ready_s), bookings.soonest)
