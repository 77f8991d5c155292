"""A problem over blocks of ops instead of ops: fewer things to place, and what engines fuse stays together.

A block is a row of ops, each the only reader of the one before: one heavy op (a convolution, a matrix product)
with the light ops before and after it, as far as the same units can run them all. Branches and their joins begin
new blocks, so any placement of a branchy graph remains, except that a heavy op is never parted from its activation
where nothing asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.cost import CostKey, Costs
from shoal.graph import Graph, Op, boundary
from shoal.plan.problem import Problem
from shoal.plan.values import Group
from shoal.record import Estimate

HEAVY_MACS = 4  # multiply-accumulates for each byte written from which an op is heavy; normalisations stay below


@dataclass(frozen=True)
class Blocks:
    """The blocks of a problem's graph, and the same problem over them."""

    problem: Problem  # its ops are blocks, named after their first op
    members: Mapping[str, tuple[str, ...]]  # block → ops

    def groups(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """Groups of blocks as groups of ops."""
        return tuple(
            replace(group, ops=tuple(op for block in group.ops for op in self.members[block])) for group in groups
        )


def blocks_of(problem: Problem) -> Blocks:
    """`problem` over blocks; pins become times without end."""
    graph = problem.graph
    rows = _rows(graph, _able(problem))
    members = {row[0]: tuple(row) for row in rows}
    coarse = replace(graph, ops=tuple(_block(graph, row) for row in rows))
    costs = _BlockCosts(problem, members)
    return Blocks(replace(problem, graph=coarse, costs=costs, pins={}), members)


def _able(problem: Problem) -> list[bytes]:
    """Of each op, which units can run it with one engine or another: equal where the same ones can."""
    of_units = [
        np.any([np.isfinite(problem.op_seconds(unit, engine)) for engine in problem.engines_of(unit)], axis=0)
        for unit in problem.units
    ]
    return [row.tobytes() for row in np.stack(of_units, axis=1)]


def _rows(graph: Graph, able: Sequence[bytes]) -> list[list[str]]:
    """Ops of each block, in an order in which blocks can run: that of their first ops."""
    rows: list[list[str]] = []
    row_of: dict[int, int] = {}
    heavy: list[bool] = []
    finals = graph.finals
    for index, op in enumerate(graph.ops):
        row = _continued(graph, op, row_of, finals)
        weighty = op.macs > HEAVY_MACS * max(1, op.written_bytes)
        if row is None or (weighty and heavy[row]) or able[graph.position[rows[row][-1]]] != able[index]:
            row = len(rows)
            rows.append([])
            heavy.append(False)
        rows[row].append(op.name)
        heavy[row] |= weighty
        row_of[index] = row
    return rows


def _continued(graph: Graph, op: Op, row_of: Mapping[int, int], finals: frozenset[str]) -> int | None:
    """The row whose last op is read by `op` and nobody else, if `op` reads nothing but that."""
    if len(op.inputs) != 1:
        return None
    (name,) = op.inputs
    maker = graph.producer.get(name)
    if maker is None or name in finals or len(graph.consumers[name]) != 1 or len(graph.ops[maker].outputs) != 1:
        return None
    return row_of[maker]


def _block(graph: Graph, row: Sequence[str]) -> Op:
    ops = [graph.ops[graph.position[name]] for name in row]
    inputs, outputs = boundary(graph, row)
    weights = tuple(dict.fromkeys(weight for op in ops for weight in op.weights))
    return Op(
        name=row[0],
        kind="Block",
        inputs=inputs,
        weights=weights,
        outputs=outputs,
        macs=sum(op.macs for op in ops),
        weights_bytes=sum(graph.weights[name].bytes for name in weights),
        read_bytes=sum(graph.tensors[name].bytes for name in inputs),
        written_bytes=sum(graph.tensors[name].bytes for name in outputs),
    )


@dataclass(frozen=True, eq=False)
class _BlockCosts:
    """Costs of blocks: those of their ops, added up."""

    problem: Problem  # over ops
    members: Mapping[str, tuple[str, ...]]

    def of(self, graph: Graph) -> Costs:
        """See `Costs.of`: of the graph itself, not of its blocks."""
        return self.problem.costs.of(graph)

    def estimate(self, key: CostKey) -> Estimate:
        """See `Costs.estimate`."""
        ops = tuple(op for block in key.ops for op in self.members[block])
        return self.problem.costs.estimate(replace(key, ops=ops))

    def op_seconds(self, unit: str, engine: str) -> NDArray[np.float64]:
        """See `Costs.op_seconds`."""
        seconds, place = self.problem.op_seconds(unit, engine), self.problem.graph.position
        return np.array([sum(seconds[place[op]] for op in ops) for ops in self.members.values()])
