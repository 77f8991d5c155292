"""The placement of a list scheduler: operators as tasks, each on the unit where it ends early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shoal import catalog
from shoal.plan.placement import Assessor
from shoal.plan.problem import Candidates, Problem
from shoal.plan.schedulers.contract import Schedule, Slot
from shoal.plan.tasks import OperatorTasks, operator_tasks
from shoal.plan.values import Group
from shoal.program.tasks import TaskGraph

TRIES = 64  # schedules made to find one that fits


@dataclass(frozen=True)
class Listed:
    """Schedule one item's operators by a technique of `plan/schedulers`, for latency.

    A unit's tasks are one group up to each that another unit waits for, so that its tensors leave when it ends.
    Schedulers know nothing of memory: where a device is given too much, its heaviest tasks may no longer run there
    and the schedule is made anew.
    """

    scheduler: str = "heft"  # a technique of plan/schedulers, with at most one option: peft:insertion=false
    min_task_s: float = 1e-4  # tasks shorter than this are fused with a neighbour where that is harmless

    def search(self, problem: Problem) -> Candidates:
        """The one placement; none if no schedule was found that memory holds.

        Raises:
            PlanError: an op that no unit can run.
            LimitError: too many tasks for this scheduler.
        """
        scheduler, work = catalog.make("plan/schedulers", self.scheduler), operator_tasks(problem, self.min_task_s)
        assessor, tasks = Assessor(problem), work.tasks
        for _ in range(TRIES):
            groups = groups_of(problem, work, scheduler.schedule(tasks, work.processors))
            if assessor.assess(groups).excess == 0:
                return Candidates((groups,), assessor.scores([groups]), exact=False)
            relieved = _relieved(problem, work, tasks, groups)
            if relieved is None:
                break
            tasks = relieved
        return Candidates((), np.empty((0, 4)), exact=False)


def groups_of(problem: Problem, work: OperatorTasks, schedule: Schedule) -> tuple[Group, ...]:
    """The groups of `schedule`, in the order in which they begin."""
    unit_of = {slot.task: slot.processor for slot in schedule.slots}
    heard = {each.source for each in work.tasks.dependencies if unit_of[each.source] != unit_of[each.target]}
    found = [part for unit in problem.units for part in _parts(schedule.on(unit), heard)]
    place = problem.graph.position
    return tuple(
        Group(
            part[0].processor,
            tuple(sorted((op for slot in part for op in work.members[slot.task]), key=place.__getitem__)),
            work.engines[part[0].processor],
        )
        for part in sorted(
            found, key=lambda part: (part[0].start_s, work.tasks.rank[work.tasks.position[part[0].task]])
        )
    )


def _parts(slots: Sequence[Slot], heard: set[str]) -> list[list[Slot]]:
    """One unit's tasks by time, cut after each that another unit waits for."""
    parts: list[list[Slot]] = [[]]
    for slot in slots:
        parts[-1].append(slot)
        if slot.task in heard:
            parts.append([])
    return [part for part in parts if part]


def _relieved(problem: Problem, work: OperatorTasks, tasks: TaskGraph, groups: Sequence[Group]) -> TaskGraph | None:
    """`tasks`, some of which may no longer run on the device that is fullest; None if another could not take one."""
    used = {group.unit.partition("/")[0]: 0 for group in groups}
    for group in groups:
        used[group.unit.partition("/")[0]] += _weights(problem, group.ops)
    device = max(used, key=lambda name: used[name] / problem.limit_bytes(name))
    columns = [index for index, unit in enumerate(problem.units) if unit.partition("/")[0] == device]
    owned = {op for group in groups if group.unit.partition("/")[0] == device for op in group.ops}
    inside = [task for task in tasks.tasks if work.members[task][0] in owned]
    seconds = tasks.w.copy()
    for task in sorted(inside, key=lambda task: -_weights(problem, work.members[task])):
        row = seconds[tasks.position[task]]
        elsewhere = np.delete(row, columns)
        if np.isfinite(elsewhere).any():
            row[columns] = np.inf
            return replace(tasks, seconds=tuple(tuple(each) for each in seconds.tolist()))
    return None


def _weights(problem: Problem, ops: Sequence[str]) -> int:
    """Bytes of the weights of `ops`."""
    graph = problem.graph
    names = {weight for op in ops for weight in graph.ops[graph.position[op]].weights}
    return sum(graph.weights[name].bytes for name in names)
