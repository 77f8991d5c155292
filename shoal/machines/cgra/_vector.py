"""Carrying out a loop for all of its entries at once, node by node: the same values as cycle by cycle, much sooner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.machines.cgra._graph import Dataflow, Memory, Node, Operand, Read, counter, valued
from shoal.machines.cgra._ops import LOAD, OPS, STORE, wrapped

Ints = NDArray[np.int64]


def evaluated(graph: Dataflow, memory: Memory, scalars: Mapping[str, Ints], iterations: int, bits: int) -> None:
    """Enter a loop many times; `memory` is changed.

    Entries must not read what others store. Where iterations do not depend on one another, but for counters, they are
    carried out at once as well.

    Args:
        graph: the loop's body.
        memory: arrays by name, flat.
        scalars: of the outer loops, shape (entries,) each.
        iterations: of each entry.
        bits: of a value.
    """
    counters = {at: found for at, node in enumerate(graph.nodes) if (found := counter(node, at))}
    free = all(not edge.distance or edge.source in counters or edge.place < 0 for edge in graph.edges)
    run = _Run(graph, memory, {name: each[:, None] for name, each in scalars.items()}, bits)
    width = iterations if free else 1
    for first in range(0, iterations, width):
        run.step(first, np.arange(first, first + width), counters)


class _Run:
    """Values of the latest iterations, each of shape (entries, iterations at once)."""

    def __init__(self, graph: Dataflow, memory: Memory, scalars: Mapping[str, Ints], bits: int) -> None:
        self.graph, self.memory, self.scalars, self.bits = graph, memory, scalars, bits
        self.past: list[list[Any]] = [[] for _ in graph.nodes]  # of each node, the latest last
        self.depth = 1 + max((edge.distance for edge in graph.edges), default=0)

    def step(self, first: int, iterations: Ints, counters: Mapping[int, tuple[int, int]]) -> None:
        for at in self.graph.order:
            node = self.graph.nodes[at]
            if at in counters:
                start, by = counters[at]
                value = start + by * iterations
            else:
                value = self._value(node, [self._operand(each, first) for each in node.operands])
            self.past[at] = [*self.past[at], value][-self.depth :]

    def _operand(self, each: Operand, iteration: int) -> Any:
        if not isinstance(each, Read):
            return valued(each, self.scalars, self.memory)
        if iteration < each.distance:
            return valued(each.first[iteration], self.scalars, self.memory)
        return self.past[each.node][-each.distance if each.distance else -1]

    def _value(self, node: Node, operands: list[Any]) -> Any:
        if node.op == STORE:
            index, value = operands
            self.memory[node.array][np.broadcast_to(index, np.shape(value))] = value
            return 0
        if node.op == LOAD:
            return self.memory[node.array][operands[0]]
        return wrapped(OPS[node.op].of(*operands), self.bits)
