"""Heterogeneous earliest finish time."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.plan.schedulers._ranks import descending, upward
from shoal.plan.schedulers._timeline import Bookings
from shoal.plan.schedulers.contract import Schedule
from shoal.program.tasks import Processors, TaskGraph


@dataclass(frozen=True)
class Heft:
    """Highest upward rank first, each on the processor that ends it first. [Topcuoglu et al., IEEE TPDS 13(3), 2002]"""

    insertion: bool = True  # a task may go into a gap between two that are booked

    def schedule(self, tasks: TaskGraph, processors: Processors) -> Schedule:
        """See `Scheduler.schedule`."""
        bookings = Bookings(tasks, processors, insertion=self.insertion)
        return bookings.book_all(descending(tasks, upward(tasks, processors)), bookings.soonest)
