"""A problem's operators as a task graph: ops fused until a task is worth scheduling, priced on every unit.

Ops are first put together into blocks (what engines fuse, see `plan.blocks`). Then tasks that take less than a given
time even on their quickest unit are fused with a neighbour, where that holds nobody else up: with the only task they
read from, or with the only one that reads them. That never makes a circle: any other way between the two would have
to pass through another reader or another source. A short task with several of both, as a Concat between two rows of
branches, stays alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from shoal.cost import hops_between
from shoal.graph import Graph
from shoal.plan.blocks import blocks_of
from shoal.plan.choices import units_engines
from shoal.plan.problem import Problem
from shoal.program.tasks import Dependency, Processors, TaskGraph

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class OperatorTasks:
    """The task graph of a problem; processors are the problem's units, tasks are named after their first op."""

    tasks: TaskGraph
    processors: Processors
    members: Mapping[str, tuple[str, ...]]  # task → ops, in the graph's order
    engines: Mapping[str, str]  # unit → the engine its times are for


def operator_tasks(problem: Problem, min_task_s: float = 0.0) -> OperatorTasks:
    """The operators of `problem` as tasks of at least `min_task_s` on any unit, as far as fusing is harmless.

    Raises:
        PlanError: an op that no unit can run.
        FleetError: two units that no link joins.
    """
    blocks = blocks_of(problem)
    engines = dict(zip(problem.units, units_engines(problem)[0], strict=True))
    coarse = blocks.problem
    seconds = np.stack([coarse.op_seconds(unit, engine) for unit, engine in engines.items()], axis=1)
    rows = _Fusion(coarse.graph, seconds).fused(min_task_s)
    names = [coarse.graph.ops[row[0]].name for row in rows]
    members = [_ops(problem.graph, blocks.members, [coarse.graph.ops[block].name for block in row]) for row in rows]
    tasks = TaskGraph(
        problem.graph.name,
        tuple(names),
        tuple(tuple(seconds[row].sum(axis=0).tolist()) for row in rows),
        _dependencies(coarse.graph, rows, names),
    )
    return OperatorTasks(tasks, _processors(problem), dict(zip(names, members, strict=True)), engines)


def _ops(graph: Graph, members: Mapping[str, tuple[str, ...]], blocks: Iterable[str]) -> tuple[str, ...]:
    """The ops of some blocks, in the graph's order."""
    found = (op for block in blocks for op in members[block])
    return tuple(sorted(found, key=lambda op: graph.position[op]))


def _processors(problem: Problem) -> Processors:
    """Units and the ways between their devices: latencies add up, and so do the seconds of a byte."""
    ways = [[hops_between(problem.fleet, _device(a), _device(b)) for b in problem.units] for a in problem.units]
    slow = [[sum(1.0 / hop.bytes_per_s for hop in way) for way in row] for row in ways]
    return Processors(
        problem.units,
        tuple(tuple(sum(hop.latency_s for hop in way) for way in row) for row in ways),
        tuple(tuple(1.0 / each if each else inf for each in row) for row in slow),
        tuple(problem.busy_w(unit) for unit in problem.units),
    )


def _dependencies(graph: Graph, rows: Iterable[list[int]], names: list[str]) -> tuple[Dependency, ...]:
    """One for each pair of tasks of which one reads from the other, with the bytes of the tensors it reads."""
    task_of = {block: task for task, row in enumerate(rows) for block in row}
    crossing: dict[tuple[int, int], int] = {}
    for name, maker in graph.producer.items():
        source = task_of[maker]
        for target in sorted({task_of[reader] for reader in graph.consumers[name]} - {source}):
            crossing[source, target] = crossing.get((source, target), 0) + graph.tensors[name].bytes
    return tuple(Dependency(names[a], names[b], size) for (a, b), size in crossing.items())


class _Fusion:
    """Blocks put together, by the index of their first one."""

    def __init__(self, graph: Graph, seconds: F64) -> None:
        self._graph, self._seconds = graph, dict(enumerate(seconds))
        self._rows = {block: [block] for block in range(len(graph.ops))}
        self._sources: dict[int, set[int]] = {block: set() for block in self._rows}
        self._readers: dict[int, set[int]] = {block: set() for block in self._rows}
        for name, maker in graph.producer.items():
            for reader in graph.consumers[name]:
                self._readers[maker].add(reader)
                self._sources[reader].add(maker)

    def fused(self, min_task_s: float) -> list[list[int]]:
        """Blocks of each task, tasks by their first block."""
        for row in self._deaf():
            self._join(row, min(self._readers[row]))
        changed = True
        while changed:
            changed = False
            for row in sorted(self._rows):
                if row in self._rows and self._seconds[row].min() < min_task_s:
                    partner = self._partner(row)
                    if partner is not None:
                        self._join(row, partner)
                        changed = True
        return [sorted(self._rows[row]) for row in sorted(self._rows)]

    def _deaf(self) -> list[int]:
        """Blocks that read nothing: no message would tell another unit that an item is there. The last first."""
        silent = [block for block, op in enumerate(self._graph.ops) if not op.inputs and self._readers[block]]
        return silent[::-1]

    def _partner(self, row: int) -> int | None:
        """The neighbour to fuse with, the only one on its side, that some unit can run together with `row`."""
        sides = (self._sources[row], self._readers[row])
        able = (min(side) for side in sides if len(side) == 1)
        return next((each for each in able if np.isfinite(self._seconds[row] + self._seconds[each]).any()), None)

    def _join(self, one: int, other: int) -> None:
        """Put `one` into `other`."""
        self._rows[other] += self._rows.pop(one)
        self._seconds[other] = self._seconds[other] + self._seconds.pop(one)
        for ways, back in ((self._sources, self._readers), (self._readers, self._sources)):
            for neighbour in ways.pop(one) - {other}:
                ways[other].add(neighbour)
                back[neighbour].add(other)
            ways[other] -= {one, other}
        for ways in (self._sources, self._readers):
            for around in ways.values():
                around.discard(one)


def _device(unit: str) -> str:
    return unit.partition("/")[0]
