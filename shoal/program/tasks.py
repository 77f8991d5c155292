"""Task graphs and the processors that run them: what list schedulers and job streams are about.

A task takes w(v, p) seconds on processor p, or cannot run there (inf). A dependency (u, v) costs nothing where both
run on one processor, else c(u, v, p, q) = latency(p, q) + bytes / bandwidth(p, q) + seconds.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan

import numpy as np
from numpy.typing import NDArray

from shoal.catalog import nearest
from shoal.errors import PlanError

F64 = NDArray[np.float64]
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Dependency:
    """`target` cannot start before the data of `source` is there."""

    source: str
    target: str
    bytes: float = 0.0
    seconds: float = 0.0  # cost given directly, paid between any two different processors


@dataclass(frozen=True)
class TaskGraph:
    """Tasks, their seconds on each processor, and what waits for what.

    Raises:
        PlanError: no task, a name that stands twice or is unknown, a dependency that stands twice, a negative time or size,
            a task that no processor can run, a cycle.
    """

    name: str
    tasks: tuple[str, ...]
    seconds: Matrix  # task → processor → s; inf: cannot run there
    dependencies: tuple[Dependency, ...] = ()

    def __post_init__(self) -> None:
        if not self.tasks:
            raise PlanError("a task graph needs at least one task", where=self.name or None)
        _refuse_repeats(self.name, "task", self.tasks)
        _check_seconds(self)
        _check_dependencies(self)
        if len(self.order) < len(self.tasks):
            raise PlanError(
                f"tasks wait for each other in a circle: {' → '.join(_cycle(self))}",
                where=self.name or None,
                hint="remove one of these dependencies",
            )

    @cached_property
    def position(self) -> dict[str, int]:
        """Index in `tasks` of the task with this name."""
        return {name: index for index, name in enumerate(self.tasks)}

    @cached_property
    def w(self) -> F64:
        """Seconds, shape (tasks, processors)."""
        return np.array(self.seconds, dtype=np.float64)

    @cached_property
    def parents(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Of each task: (task it waits for, index of the dependency)."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.tasks]
        for index, each in enumerate(self.dependencies):
            found[self.position[each.target]].append((self.position[each.source], index))
        return tuple(tuple(each) for each in found)

    @cached_property
    def children(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Of each task: (task that waits for it, index of the dependency)."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.tasks]
        for index, each in enumerate(self.dependencies):
            found[self.position[each.source]].append((self.position[each.target], index))
        return tuple(tuple(each) for each in found)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Task indices in an order in which they can run: of those free to go the lowest index first."""
        missing = [len(each) for each in self.parents]
        free = [index for index, count in enumerate(missing) if not count]
        order: list[int] = []
        while free:
            index = heapq.heappop(free)
            order.append(index)
            for child, _ in self.children[index]:
                missing[child] -= 1
                if not missing[child]:
                    heapq.heappush(free, child)
        return tuple(order)

    @cached_property
    def rank(self) -> tuple[int, ...]:
        """Of each task its place in `order`."""
        place = [0] * len(self.tasks)
        for number, index in enumerate(self.order):
            place[index] = number
        return tuple(place)


@dataclass(frozen=True)
class Processors:
    """What runs tasks, and how data gets from one to another.

    Raises:
        PlanError: no processor, a name that stands twice, a table of another size, a negative latency or power, a
            bandwidth of zero or below.
    """

    names: tuple[str, ...]
    latency_s: Matrix  # from → to; what stands for a processor and itself is not read
    bandwidth_bytes_per_s: Matrix  # from → to; inf: bytes take no time
    busy_w: tuple[float, ...] = ()  # above idle, while a task runs; empty: energy is not counted
    idle_w: tuple[float, ...] = ()  # all the time; empty: zero

    def __post_init__(self) -> None:
        if not self.names:
            raise PlanError("no processors", needed="at least one")
        _refuse_repeats("processors", "processor", self.names)
        count = len(self.names)
        for what, table in (("latency", self.latency_s), ("bandwidth", self.bandwidth_bytes_per_s)):
            if len(table) != count or any(len(row) != count for row in table):
                raise PlanError(f"the table of {what} has another size", needed=f"{count} × {count}")
        self._check_links()
        for what, row in (("busy_w", self.busy_w), ("idle_w", self.idle_w)):
            if row and (len(row) != count or not all(0 <= watts < inf for watts in row)):
                raise PlanError(f"{what} needs one figure of at least zero for each processor", had=str(row))

    def _check_links(self) -> None:
        for p, one in enumerate(self.names):
            for q, other in enumerate(self.names):
                latency_s, rate = self.latency_s[p][q], self.bandwidth_bytes_per_s[p][q]
                if p != q and not 0 <= latency_s < inf:
                    raise PlanError("a latency is negative or not finite", where=f"{one} → {other}",
                                    needed="at least 0 s", had=f"{latency_s} s")  # fmt: skip
                if p != q and not rate > 0:
                    raise PlanError("a bandwidth is zero or below", where=f"{one} → {other}",
                                    needed="above 0 B/s", had=f"{rate} B/s")  # fmt: skip

    @classmethod
    def alike(cls, names: Sequence[str], latency_s: float = 0.0, bandwidth_bytes_per_s: float = inf) -> Processors:
        """Processors any two of which are joined by the same kind of link."""
        count = len(names)
        return cls(tuple(names), ((latency_s,) * count,) * count, ((bandwidth_bytes_per_s,) * count,) * count)

    def cost_s(self, dependency: Dependency) -> F64:
        """c(p, q) of `dependency`, shape (processors, processors); zero on the diagonal."""
        found = self._latency + dependency.bytes * self._s_per_byte + dependency.seconds
        np.fill_diagonal(found, 0.0)
        return np.asarray(found, np.float64)

    def between_s(self, dependency: Dependency, source: int, target: int) -> float:
        """c(p, q) of `dependency` for one pair of processors."""
        if source == target:
            return 0.0
        rate = self.bandwidth_bytes_per_s[source][target]
        return self.latency_s[source][target] + dependency.bytes / rate + dependency.seconds

    def mean_cost_s(self, dependency: Dependency) -> float:
        """c̄: mean latency + bytes / mean bandwidth, over pairs of different processors; zero where there is one.

        Pairs between which bytes take no time (two units of one device) have no bandwidth to average.
        """
        if len(self.names) == 1:
            return 0.0
        latency_s, bandwidth = self._means
        return latency_s + dependency.bytes / bandwidth + dependency.seconds

    @cached_property
    def _latency(self) -> F64:
        return np.array(self.latency_s, np.float64)

    @cached_property
    def _s_per_byte(self) -> F64:
        return 1.0 / np.array(self.bandwidth_bytes_per_s, np.float64)

    @cached_property
    def _means(self) -> tuple[float, float]:
        """Mean latency and bandwidth over pairs of different processors."""
        apart = ~np.eye(len(self.names), dtype=bool)
        rates = np.array(self.bandwidth_bytes_per_s, np.float64)[apart]
        finite = rates[np.isfinite(rates)]
        return float(self._latency[apart].mean()), float(finite.mean()) if len(finite) else inf


def check_fit(tasks: TaskGraph, processors: Processors) -> None:
    """Whether the tasks' times are those of these processors.

    Raises:
        PlanError: there are more or fewer.
    """
    had = len(tasks.seconds[0])
    if had != len(processors.names):
        raise PlanError("each task needs a time for every processor", where=tasks.name or None,
                        needed=f"{len(processors.names)}: {', '.join(processors.names)}", had=str(had))  # fmt: skip


def _refuse_repeats(where: str, what: str, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise PlanError(f"{what} '{twice[0]}' stands twice", where=where or None)


def _check_seconds(graph: TaskGraph) -> None:
    if len(graph.seconds) != len(graph.tasks):
        raise PlanError("each task needs its times", where=graph.name or None,
                        needed=str(len(graph.tasks)), had=str(len(graph.seconds)))  # fmt: skip
    for task, row in zip(graph.tasks, graph.seconds, strict=True):
        if len(row) != len(graph.seconds[0]):
            raise PlanError(f"task '{task}' has times for another number of processors", where=graph.name or None,
                            needed=str(len(graph.seconds[0])), had=str(len(row)))  # fmt: skip
        for processor, seconds in enumerate(row):
            if isnan(seconds) or seconds < 0:
                raise PlanError(f"task '{task}' has a negative time on processor {processor}",
                                where=graph.name or None, needed="at least 0 s, or inf", had=f"{seconds} s")  # fmt: skip
        if not any(seconds < inf for seconds in row):
            raise PlanError(f"no processor can run task '{task}'", where=graph.name or None,
                            needed="a finite time on at least one", had=f"inf on all {len(row)}")  # fmt: skip


def _check_dependencies(graph: TaskGraph) -> None:
    seen: set[tuple[str, str]] = set()
    for each in graph.dependencies:
        for task in (each.source, each.target):
            if task not in graph.position:
                raise PlanError(f"dependency {each.source} → {each.target} names an unknown task '{task}'",
                                where=graph.name or None, hint=nearest(task, graph.tasks[:50]))  # fmt: skip
        for what, figure, unit in (("size", each.bytes, "B"), ("cost", each.seconds, "s")):
            if not 0 <= figure < inf:
                raise PlanError(f"dependency {each.source} → {each.target} has a {what} that is negative or not finite",
                                where=graph.name or None, needed=f"at least 0 {unit}", had=f"{figure} {unit}")  # fmt: skip
        if (each.source, each.target) in seen:
            raise PlanError(f"dependency {each.source} → {each.target} stands twice", where=graph.name or None)
        seen.add((each.source, each.target))


def _cycle(graph: TaskGraph) -> list[str]:
    """Names along one cycle, the first again at the end: parents are followed among the tasks that never got free."""
    stuck = set(range(len(graph.tasks))) - set(graph.order)
    way: list[int] = [min(stuck)]
    while True:
        parent = next(u for u, _ in graph.parents[way[-1]] if u in stuck)
        if parent in way:
            circle = [*way[way.index(parent) :], parent]
            return [graph.tasks[index] for index in reversed(circle)]
        way.append(parent)
