"""Consecutive groups of layers, one per unit: the least traffic, and no work done twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.errors import PlanError
from shoal.graph import Graph, cuts
from shoal.plan.problem import Problem
from shoal.plan.shares import users_of
from shoal.plan.values import Division, Group, Replica


@dataclass(frozen=True)
class Stage:
    """Cut the row of layers where the work comes nearest to the shares."""

    def divide(self, problem: Problem, shares: Sequence[float]) -> Division:
        """Consecutive groups in the order of the problem's units, whose multiply-accumulates follow `shares`.

        Raises:
            PlanError: shares that do not fit the units, or fewer legal cuts than needed.
        """
        users = users_of(problem, shares)
        bounds = _bounds(problem.graph, [share for _, share in users])
        names = [op.name for op in problem.graph.ops]
        groups = tuple(
            Group(unit, tuple(names[first:last]), problem.engines_of(unit)[0])
            for (unit, _), first, last in zip(users, bounds[:-1], bounds[1:], strict=True)
        )
        return Division((Replica(groups),))

    def transfer_bytes(self, problem: Problem, shares: Sequence[float]) -> int:
        """Each tensor that another unit reads crosses once for each unit that reads it."""
        return crossing_bytes(problem.graph, self.divide(problem, shares).replicas[0].groups)


def crossing_bytes(graph: Graph, groups: Sequence[Group]) -> int:
    """Payload bytes between units for one item, of any placement of whole ops."""
    owner = {op: group.unit for group in groups for op in group.ops}
    total = 0
    for name, producer in graph.producer.items():
        home = owner[graph.ops[producer].name]
        readers = {owner[graph.ops[index].name] for index in graph.consumers[name]} - {home}
        total += len(readers) * graph.tensors[name].bytes
    return total


def _bounds(graph: Graph, shares: Sequence[float]) -> list[int]:
    """Op indices at which groups begin, and the end."""
    legal = [cut.after + 1 for cut in cuts(graph)]
    if len(legal) < len(shares) - 1:
        raise PlanError("the model has too few legal cuts", needed=str(len(shares) - 1), had=str(len(legal)))
    done = np.cumsum([0, *(op.macs for op in graph.ops)])
    wanted = np.cumsum(shares)[:-1] / sum(shares) * done[-1]
    chosen: list[int] = []
    for number, target in enumerate(wanted):
        first = legal.index(chosen[-1]) + 1 if chosen else 0
        room = legal[first : len(legal) - (len(wanted) - number - 1)]
        chosen.append(min(room, key=lambda after: abs(float(done[after] - target))))
    return [0, *chosen, len(graph.ops)]
