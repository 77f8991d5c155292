"""What a scheduler is: a task graph and processors in, a start time and a processor for each task out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from shoal.program.tasks import Processors, TaskGraph

CLOSE = 1e-9  # relative to the makespan: sums in another order differ by this much


@dataclass(frozen=True)
class Slot:
    """One task in its place."""

    task: str
    processor: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Schedule:
    """Where and when each task runs; `slots` in the order in which they were booked."""

    slots: tuple[Slot, ...]

    @property
    def makespan_s(self) -> float:
        """When the last task ends."""
        return max(slot.end_s for slot in self.slots)

    def on(self, processor: str) -> tuple[Slot, ...]:
        """The tasks of one processor by time."""
        return tuple(
            sorted((s for s in self.slots if s.processor == processor), key=lambda s: (s.start_s, s.end_s))
        )


class Scheduler(Protocol):
    """A technique of `plan/schedulers`: a pure function of its input, ties broken by the lowest index."""

    def schedule(self, tasks: TaskGraph, processors: Processors) -> Schedule:
        """Start times that keep every dependency, with its transfer, and never overlap on a processor.

        Raises:
            PlanError: the tasks' times are not those of these processors.
            LimitError: the graph is too large for this scheduler.
        """


def faults(tasks: TaskGraph, processors: Processors, schedule: Schedule) -> tuple[str, ...]:
    """What is wrong with `schedule`, in words; nothing if it is valid."""
    placed = {slot.task: slot for slot in schedule.slots}
    missing = [task for task in tasks.tasks if task not in placed]
    if missing or len(schedule.slots) != len(tasks.tasks):
        return (f"not each task once (missing: {', '.join(missing) or 'none'})",)
    slack_s = CLOSE * schedule.makespan_s
    return (
        *_wrong_lengths(tasks, processors, placed, slack_s),
        *_too_early(tasks, processors, placed, slack_s),
        *_overlaps(processors, schedule, slack_s),
    )


def _wrong_lengths(
    tasks: TaskGraph, processors: Processors, placed: dict[str, Slot], slack_s: float
) -> Iterator[str]:
    for task, row in zip(tasks.tasks, tasks.seconds, strict=True):
        slot = placed[task]
        seconds = row[processors.names.index(slot.processor)]
        if slot.start_s < 0 or not abs(slot.end_s - slot.start_s - seconds) <= slack_s:
            yield f"{task} takes {seconds:g} s on {slot.processor}, not {slot.start_s:g} to {slot.end_s:g} s"


def _too_early(tasks: TaskGraph, processors: Processors, placed: dict[str, Slot], slack_s: float) -> Iterator[str]:
    for each in tasks.dependencies:
        source, target = placed[each.source], placed[each.target]
        p, q = processors.names.index(source.processor), processors.names.index(target.processor)
        there_s = source.end_s + float(processors.cost_s(each)[p, q])
        if target.start_s < there_s - slack_s:
            yield f"{each.target} starts at {target.start_s:g} s, before {each.source}'s data at {there_s:g} s"


def _overlaps(processors: Processors, schedule: Schedule, slack_s: float) -> Iterator[str]:
    for name in processors.names:
        for one, other in pairwise(schedule.on(name)):
            if other.start_s < one.end_s - slack_s:
                yield f"{one.task} and {other.task} overlap on {name}"
