"""Copies of a loop's body in lockstep, and the schedule that the mapper of `shoal.machines.cgra` finds for them.

Copies, *lanes*, share what does not depend on arrays of which each has its own part: the counter, indices that follow from
it, elements that all read. Numbers that are added to an index become part of the array's base, as that of each lane is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from shoal.errors import LimitError
from shoal.machines import cgra as arrays
from shoal.machines.cgra import Dataflow, Live, Node, Read, Scalar, mapped, reach, traced

TRIPS = 1 << 20  # that traced loops are told; how many there are, data tells
ENTRIES = 16  # of the configuration: no longer interval
BITS = 32
SEEDS = 3  # of the mapper's search


@dataclass(frozen=True)
class Body:
    """A loop's inner body, and which arrays each lane has a part of its own of."""

    function: Callable[..., None]
    split: frozenset[str]
    constants: tuple[tuple[str, int], ...] = ()
    apart: bool = False  # do iterations never change what others read or change

    @property
    def name(self) -> str:
        """Of the function."""
        return self.function.__name__


@dataclass(frozen=True)
class Access:
    """A load or store of a body of several lanes."""

    node: int
    op: str
    array: str
    offset: int  # that is part of its base
    lane: int  # 0 for what all share


@dataclass(frozen=True)
class Lanes:
    """A body in several lanes."""

    graph: Dataflow
    accesses: tuple[Access, ...]
    shared: int  # nodes that all lanes share


@dataclass(frozen=True)
class Fabric:
    """The array that is mapped to, with ports of the memory in some of its columns."""

    rows: int
    columns: int
    edge: int

    @property
    def places(self) -> int:
        """Processing elements."""
        return self.rows * self.columns

    @property
    def made(self) -> arrays.Fabric:
        """As the mapper takes it."""
        return _made(self)


@cache
def _made(fabric: Fabric) -> arrays.Fabric:
    return arrays.conventional(fabric.rows, fabric.columns, BITS, ENTRIES, edge=fabric.edge)


@cache
def unrolled(body: Body, lanes: int) -> Lanes:
    """So many lanes of the body."""
    nodes, offsets = _based(traced(body.function, n=TRIPS, **dict(body.constants)))
    if body.apart:
        nodes = [replace(node, after=()) for node in nodes]
    own = _own(nodes, body.split)
    order = [(at, 0) for at in range(len(nodes)) if at not in own]
    shared = len(order)
    order += [(at, lane) for lane in range(lanes) for at in sorted(own)]
    place = {each: new for new, each in enumerate(order)}

    to = [{at: place[at, lane if at in own else 0] for at in range(len(nodes))} for lane in range(lanes)]
    made, accesses = [], []
    for new, (at, lane) in enumerate(order):
        node = _moved(nodes[at], to[lane])
        if node.memory:
            accesses.append(Access(new, node.op, node.array, offsets[at], lane))
            node = replace(node, array=f"{node.array}+{offsets[at]}, lane {lane}")
        made.append(node)
    return Lanes(Dataflow(f"{body.name}, {lanes} lanes", tuple(made), TRIPS, parts=True), tuple(accesses), shared)


def nodes_of(body: Body, lanes: int) -> int:
    """Operations of an iteration of all lanes."""
    one = unrolled(body, 1)
    return one.shared + lanes * (len(one.graph.nodes) - one.shared)


@cache
def scheduled(body: Body, lanes: int, fabric: Fabric) -> arrays.Mapping | None:
    """What the mapper finds, the best of a few searches; none if it finds nothing in the array's configurations."""
    graph, best = unrolled(body, lanes).graph, None
    for seed in range(SEEDS):
        if best is not None and best.ii == best.least:
            break
        try:
            best = mapped(graph, fabric.made, seed=seed, most=None if best is None else best.ii - 1)
        except LimitError:
            continue
    return best


@cache
def least_cycles(body: Body, lanes: int, fabric: Fabric) -> tuple[int, int]:
    """Cycles between iterations that units and ports ask for, and that cycles of values do."""
    return fabric.made.least_cycles(unrolled(body, lanes).graph)


def _based(graph: Dataflow) -> tuple[list[Node], list[int]]:
    """Loads and stores with numbers in their index taken into the base; sums that only made indices are gone."""
    nodes, offsets, sums = list(graph.nodes), [0] * len(graph.nodes), set[int]()
    for at, node in enumerate(nodes):
        found = _sum(graph, node)
        if found is not None:
            index, number = found
            sums |= {each.node for each in node.operands[:1] if isinstance(each, Read)}
            nodes[at] = replace(node, operands=(index, *node.operands[1:]))
            offsets[at] = number if isinstance(number, int) else 0
    read = {each.node for node in nodes for each in node.operands if isinstance(each, Read)}
    kept = [at for at in range(len(nodes)) if at in read or at not in sums]
    place = {at: new for new, at in enumerate(kept)}
    return [_moved(nodes[at], place) for at in kept], [offsets[at] for at in kept]


def _sum(graph: Dataflow, node: Node) -> tuple[Read, Scalar] | None:
    """The node and the number that a load's or store's index is the sum of."""
    if node.memory and isinstance(index := node.operands[0], Read) and not index.distance:
        match graph.nodes[index.node]:
            case Node(
                op="add",
                operands=(Read(distance=0) as one, int() | Live() as number)
                | (Live() as number, Read(distance=0) as one),
            ):
                return one, number
    return None


def _moved(node: Node, to: Mapping[int, int]) -> Node:
    """The same node, where nodes have other numbers."""
    return replace(node, operands=tuple(replace(each, node=to[each.node]) if isinstance(each, Read) else each
                                        for each in node.operands),
                   after=tuple((to[other], distance) for other, distance in node.after))  # fmt: skip


def _own(nodes: list[Node], split: frozenset[str]) -> set[int]:
    """What depends on arrays of which each lane has its own part."""
    own = {at for at, node in enumerate(nodes) if node.array in split}
    arcs = [(each.node, at) for at, node in enumerate(nodes) for each in node.operands if isinstance(each, Read)]
    far = reach(len(nodes), arcs)
    return own.union(*(far[at] for at in own))
