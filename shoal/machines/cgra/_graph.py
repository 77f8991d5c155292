"""The body of a loop as a graph: what each node does, what it reads, from how many iterations ago."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.errors import ModelError
from shoal.machines.cgra._ops import LOAD, MEMORY, OPS, operands


@dataclass(frozen=True)
class Live:
    """A number that stands still while the loop runs and is known when it starts: an outer loop's index, or what follows from it."""

    op: str  # "name", "load", or an operation of the ALU
    of: tuple[Scalar, ...] = ()
    name: str = ""  # of the scalar, or of the array

    def value(self, scalars: Mapping[str, Any], memory: Memory) -> Any:
        """With the outer loops' scalars, and arrays as they are when the loop is entered."""
        if self.op == "name":
            return scalars[self.name]
        of = [valued(each, scalars, memory) for each in self.of]
        return memory[self.name][of[0]] if self.op == LOAD else OPS[self.op].of(*of)


Scalar: TypeAlias = int | Live
Memory: TypeAlias = Mapping[str, NDArray[np.int64]]  # arrays by name, flat


def valued(scalar: Scalar, scalars: Mapping[str, Any], memory: Memory) -> Any:
    """A number that the loop does not change, when it is entered; an array of them, if the scalars are arrays."""
    return scalar.value(scalars, memory) if isinstance(scalar, Live) else scalar


@dataclass(frozen=True)
class Read:
    """An operand that another node gives."""

    node: int
    distance: int = 0  # iterations ago
    first: tuple[Scalar, ...] = ()  # what is read in the iterations before there is one; `distance` of them


Operand: TypeAlias = Read | Scalar


@dataclass(frozen=True)
class Node:
    """One operation of each iteration; it takes one cycle."""

    op: str
    operands: tuple[Operand, ...]
    array: str = ""  # of a load or store
    after: tuple[tuple[int, int], ...] = ()  # (node, distance) whose access to memory has to come before

    @property
    def memory(self) -> bool:
        """Whether it needs a port of the memory."""
        return self.op in MEMORY

    @property
    def immediate(self) -> bool:
        """Whether one operand is no other node's."""
        return any(not isinstance(each, Read) for each in self.operands)


@dataclass(frozen=True)
class Edge:
    """A value that goes from node to node; or only an order of two accesses to memory."""

    source: int
    target: int
    place: int  # of the target's operands; -1: order only
    distance: int = 0


@dataclass(frozen=True)
class Dataflow:
    """The body of an innermost loop.

    Raises:
        ModelError: no nodes, an unknown op, a wrong number of operands, two operands that are no node's, parts that have
            nothing to do with one another, or a cycle within one iteration.
    """

    name: str
    nodes: tuple[Node, ...]
    trips: int = 1  # iterations each time the loop is entered
    parts: bool = False  # may there be parts that have nothing to do with one another, in lockstep
    edges: tuple[Edge, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for at, node in enumerate(self.nodes):
            _check(node, f"{self.name}, node {at}", len(self.nodes))
        object.__setattr__(self, "edges", tuple(_edges(self.nodes)))
        if not self.nodes:
            raise ModelError("a loop that does nothing", where=self.name)
        if not self.parts:
            _check_connected(self)
        if len(self.order) < len(self.nodes):
            stuck = sorted(set(range(len(self.nodes))) - set(self.order))
            raise ModelError("a cycle within one iteration", where=self.name,
                             had=", ".join(f"{at} {self.nodes[at].op}" for at in stuck[:4]))  # fmt: skip

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Nodes, each after those whose values of the same iteration it reads; those of cycles are left out."""
        return tuple(ordered(len(self.nodes), [(e.source, e.target) for e in self.edges if not e.distance]))

    @cached_property
    def heights(self) -> tuple[int, ...]:
        """Cycles from each node to the end of the iteration, at least."""
        found = [0] * len(self.nodes)
        for at in reversed(self.order):
            found[at] = max((1 + found[e.target] for e in self.leaving[at] if not e.distance), default=0)
        return tuple(found)

    @cached_property
    def entering(self) -> tuple[tuple[Edge, ...], ...]:
        """Edges into each node."""
        return tuple(tuple(e for e in self.edges if e.target == at) for at in range(len(self.nodes)))

    @cached_property
    def leaving(self) -> tuple[tuple[Edge, ...], ...]:
        """Edges out of each node."""
        return tuple(tuple(e for e in self.edges if e.source == at) for at in range(len(self.nodes)))

    @cached_property
    def recurrent(self) -> frozenset[int]:
        """Nodes of cycles over several iterations, those of one node apart."""
        far = reach(len(self.nodes), [(e.source, e.target) for e in self.edges])
        return frozenset(a for a in range(len(self.nodes)) if any(a in far[b] for b in far[a] - {a}))

    @property
    def memory(self) -> int:
        """Loads and stores."""
        return sum(node.memory for node in self.nodes)

    @cached_property
    def recurrence_cycles(self) -> int:
        """Cycles between iterations that cycles of values ask for: the least at which no chain of waits is endless."""
        found = 1
        while _endless(self, found):
            found += 1
        return found


def ordered(count: int, arcs: Sequence[tuple[int, int]]) -> list[int]:
    """0 … count - 1, each after those that arcs to it come from; what lies on or behind a cycle is left out."""
    missing, following = [0] * count, [[] for _ in range(count)]  # type: list[int], list[list[int]]
    for source, target in arcs:
        missing[target] += 1
        following[source].append(target)
    ready = [at for at in range(count) if not missing[at]]
    for at in ready:  # grows while it is read
        for target in following[at]:
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    return ready


def _edges(nodes: Sequence[Node]) -> Iterator[Edge]:
    for at, node in enumerate(nodes):
        for place, each in enumerate(node.operands):
            if isinstance(each, Read):
                yield Edge(each.node, at, place, each.distance)
        for source, distance in node.after:
            yield Edge(source, at, -1, distance)


def _check(node: Node, where: str, count: int) -> None:
    if len(node.operands) != operands(node.op):
        raise ModelError(
            f"'{node.op}' with {len(node.operands)} operands", where=where, needed=str(operands(node.op))
        )
    if sum(not isinstance(each, Read) for each in node.operands) > 1:
        raise ModelError(f"'{node.op}' with two operands that are no node's", where=where, needed="one at most")
    sources = [each.node for each in node.operands if isinstance(each, Read)] + [source for source, _ in node.after]
    if any(not 0 <= source < count for source in sources):
        raise ModelError(f"'{node.op}' reads a node that is not there", where=where, had=str(sources))


def _check_connected(graph: Dataflow) -> None:
    seen, found = {0}, [0]
    for at in found:
        for edge in (*graph.leaving[at], *graph.entering[at]):
            for other in {edge.source, edge.target} - seen:
                seen.add(other)
                found.append(other)
    if len(seen) < len(graph.nodes):
        lone = min(set(range(len(graph.nodes))) - seen)
        raise ModelError("parts that have nothing to do with one another", where=graph.name,
                         had=f"node {lone} '{graph.nodes[lone].op}' apart from node 0",
                         hint="map them as loops of their own")  # fmt: skip


def counter(node: Node, at: int) -> tuple[int, int] | None:
    """What node number `at` gives first and adds each time, if it does nothing else."""
    match node:
        case Node(op="add", operands=(Read(node=source, distance=1, first=(int(start),)), int(by))) if source == at:
            return start + by, by
    return None


def reach(count: int, arcs: Sequence[tuple[int, int]]) -> list[set[int]]:
    """What each of 0 … count - 1 gets to by arcs."""
    following: list[list[int]] = [[] for _ in range(count)]
    for source, target in arcs:
        following[source].append(target)
    found: list[set[int]] = []
    for start in range(count):
        seen: set[int] = set()
        todo = [start]
        while todo:
            fresh = set(following[todo.pop()]) - seen
            seen |= fresh
            todo += fresh
        found.append(seen)
    return found


def _endless(graph: Dataflow, ii: int) -> bool:
    """Whether a cycle asks for more than its distances give (Bellman and Ford on 1 - ii * distance)."""
    at = [0] * len(graph.nodes)
    for _ in range(len(graph.nodes) + 1):
        changed = False
        for edge in graph.edges:
            least = at[edge.source] + 1 - ii * edge.distance
            if least > at[edge.target]:
                at[edge.target], changed = least, True
        if not changed:
            return False
    return True
