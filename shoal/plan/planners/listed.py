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
RELIEF = 0.1  # share of a full device's weights that is sent elsewhere before it is tried again


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
    """`tasks`, the heaviest of the fullest device no longer able to run there; None if no other could take one."""
    used: dict[str, int] = {}
    for group in groups:
        used[_device(group.unit)] = used.get(_device(group.unit), 0) + _weights(problem, group.ops)
    full = max(used, key=lambda name: used[name] / problem.limit_bytes(name))
    columns = [index for index, unit in enumerate(problem.units) if _device(unit) == full]
    owned = {op for group in groups if _device(group.unit) == full for op in group.ops}
    weights = {task: _weights(problem, ops) for task, ops in work.members.items() if ops[0] in owned}
    seconds, moved = tasks.w.copy(), -1
    for task in sorted(weights, key=lambda task: -weights[task]):
        row = seconds[tasks.position[task]]
        if moved < RELIEF * used[full] and np.isfinite(np.delete(row, columns)).any():
            row[columns] = np.inf
            moved = max(moved, 0) + weights[task]
    return None if moved < 0 else replace(tasks, seconds=tuple(tuple(row) for row in seconds.tolist()))


def _device(unit: str) -> str:
    return unit.partition("/")[0]


def _weights(problem: Problem, ops: Sequence[str]) -> int:
    """Bytes of the weights of `ops`."""
    graph = problem.graph
    names = {weight for op in ops for weight in graph.ops[graph.position[op]].weights}
    return sum(graph.weights[name].bytes for name in names)
