"""Loops larger than an array that never changes: cut into pieces that run one after another and meet in memory.

A piece runs all iterations before the next one starts. What a later piece reads is stored for every iteration. Counters,
and what follows from them alone, are made again in each piece that needs them. Cycles of values stay whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.errors import LimitError, ModelError
from shoal.machines.cgra._fabric import Fabric
from shoal.machines.cgra._graph import Dataflow, Node, Operand, Read, counter, reach
from shoal.machines.cgra._mapper import Mapping, mapped
from shoal.machines.cgra._ops import LOAD, STORE


@dataclass(frozen=True)
class Cut:
    """A loop as pieces on an array that stands still."""

    mappings: tuple[Mapping, ...]
    words: int  # of each array between pieces

    def cycles(self, iterations: int) -> int:
        """Of a loop that is entered once: piece after piece."""
        return sum(each.cycles(iterations) for each in self.mappings)

    def between(self) -> dict[str, NDArray[np.int64]]:
        """Empty arrays for what pieces give one another."""
        names = {
            node.array for each in self.mappings for node in each.graph.nodes if node.array.startswith(_BETWEEN)
        }
        return {name: np.zeros(self.words, np.int64) for name in sorted(names)}


_BETWEEN = "value of node "
TRIES = 16  # ways of cutting, of which that with the fewest cycles an iteration is taken


def cut(graph: Dataflow, fabric: Fabric, seed: int = 0) -> Cut:
    """The loop in as large pieces as can be mapped.

    Raises:
        LimitError: a cycle of values, or a node with what it reads and gives, is more than the array holds.
    """
    counters = [found for at, node in enumerate(graph.nodes) if (found := counter(node, at))]
    start, step = counters[0] if counters else (0, 0)
    words = start + step * (graph.trips + 1) + 1
    cutter, rng = _Cutter(graph), np.random.default_rng(seed)
    refused: LimitError | None = None
    for units in range(len(fabric.units), 1, -1):
        try:
            ways = [tuple(_pieces(cutter, fabric, units, rng if at else None)) for at in range(TRIES)]
            best = min(ways, key=lambda way: (sum(each.recurrence_cycles for each in way), len(way)))
            return Cut(tuple(mapped(each, fabric, seed=seed) for each in best), words)
        except LimitError as fault:
            refused = refused or fault
    raise refused or LimitError("an array without units", where=fabric.name)


def _pieces(cutter: _Cutter, fabric: Fabric, units: int, rng: np.random.Generator | None) -> Iterator[Dataflow]:
    """Pieces of so many units at most, each grown by what asks for least, or by chance."""
    ports = sum(unit.memory for unit in fabric.units)
    left, done = cutter.components(), set[int]()
    while left:
        nodes, piece = set[int](), None
        while True:
            ready = cutter.steps([each for each in left if not each & nodes], done | nodes)
            tried = [(each, made) for each in ready if (made := cutter.piece(frozenset(nodes | each)))]
            fitting = [(each, made) for each, made in tried if len(made.nodes) <= units and made.memory <= ports]
            if not fitting:
                break
            asked = [
                made.memory + len(made.nodes) / units + (2 * rng.random() if rng else 0.0) for _, made in fitting
            ]
            chosen, piece = fitting[int(np.argmin(asked))]
            nodes |= chosen
        if piece is None:
            raise LimitError("what cannot be cut is larger than the array", where=f"{fabric.name}, loop '{cutter.graph.name}'",
                             needed=_least(tried), had=f"{units} units, {ports} with the memory")  # fmt: skip
        yield piece
        done |= nodes
        left = [each for each in left if not each <= nodes]


def _least(tried: Sequence[tuple[Set[int], Dataflow]]) -> str:
    if not tried:
        return "pieces whose parts have something in common"
    made = min((made for _, made in tried), key=lambda each: len(each.nodes))
    return f"{len(made.nodes)} units, {made.memory} with the memory"


class _Cutter:
    """A graph and what may be made again of it."""

    def __init__(self, graph: Dataflow) -> None:
        self.graph = graph
        self.again = self._made_again()
        self.made: dict[frozenset[int], Dataflow | None] = {}
        self.index = next((at for at, node in enumerate(graph.nodes) if counter(node, at)), None)

    def _made_again(self) -> set[int]:
        found: set[int] = set()
        for at in self.graph.order:
            node = self.graph.nodes[at]
            sources = [each for each in node.operands if isinstance(each, Read)]
            if counter(node, at) or (
                not node.memory and all(each.node in found and not each.distance for each in sources)
            ):
                found.add(at)
        return found

    def components(self) -> list[frozenset[int]]:
        """Nodes that have to stay together, but for those that are made again; in order."""
        kept = [at for at in self.graph.order if at not in self.again]
        arcs = [(e.source, e.target) for e in self.graph.edges]
        arcs += [(e.target, e.source) for e in self.graph.edges if e.distance and e.place >= 0]
        far = reach(len(self.graph.nodes), arcs)
        return list(
            dict.fromkeys(frozenset({a, *(b for b in far[a] if a in far[b] and b not in self.again)}) for a in kept)
        )

    def before(self, nodes: Set[int]) -> set[int]:
        """What has to be done before or with these, but for what is made again."""
        return {e.source for at in nodes for e in self.graph.entering[at]} - self.again - nodes

    def steps(self, left: list[frozenset[int]], done: set[int]) -> list[frozenset[int]]:
        """What can be done next, alone or with one that waits for it: a value read at once need not be stored."""
        ready = [each for each in left if self.before(each) <= done]
        after = [each | more for each in ready for more in left
                 if more not in ready and self.before(more) & each and self.before(more) <= done | each]  # fmt: skip
        return ready + after

    def piece(self, nodes: frozenset[int]) -> Dataflow | None:
        """The loop with these nodes alone, and what they read and give; none if its parts had nothing in common."""
        if nodes not in self.made:
            self.made[nodes] = self._piece(nodes)
        return self.made[nodes]

    def _piece(self, nodes: frozenset[int]) -> Dataflow | None:
        graph = self.graph
        inner = self._with_sources(nodes)
        read = sorted({each.node for at in inner for each in graph.nodes[at].operands
                       if isinstance(each, Read) and each.node not in inner})  # fmt: skip
        given = [
            at for at in sorted(nodes) if any(e.target not in nodes and e.place >= 0 for e in graph.leaving[at])
        ]
        if (read or given) and self.index is not None:
            inner = inner | {self.index}
        place = {at: new for new, at in enumerate([*sorted(inner), *(-1 - at for at in read)])}

        def moved(each: Operand) -> Operand:
            if not isinstance(each, Read):
                return each
            return replace(each, node=place[each.node if each.node in inner else -1 - each.node])

        made = [replace(graph.nodes[at], operands=tuple(map(moved, graph.nodes[at].operands)),
                        after=tuple((place[other], far) for other, far in graph.nodes[at].after if other in inner))
                for at in sorted(inner)]  # fmt: skip
        index = Read(place[self.index]) if self.index is not None and self.index in inner else 0
        made += [Node(LOAD, (index,), f"{_BETWEEN}{at}") for at in read]
        made += [Node(STORE, (index, Read(place[at])), f"{_BETWEEN}{at}") for at in given]
        try:
            return Dataflow(graph.name, tuple(made), graph.trips)
        except ModelError:
            return None

    def _with_sources(self, nodes: Set[int]) -> set[int]:
        """`nodes` and what is made again for them."""
        found, todo = set(nodes), list(nodes)
        while todo:
            sources = {each.node for each in self.graph.nodes[todo.pop()].operands if isinstance(each, Read)}
            fresh = (sources & self.again) - found
            found |= fresh
            todo += fresh
        return found
