"""Consecutive groups of layers, one per unit: the least traffic, and no work done twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.errors import PlanError
from shoal.graph import Graph, cuts
from shoal.plan.problem import Problem
from shoal.plan.values import Group


@dataclass(frozen=True)
class Stage:
    """Cut the row of layers where the work comes nearest to the shares."""

    def divide(self, problem: Problem, shares: Sequence[float]) -> tuple[Group, ...]:
        """Groups in the order of the problem's units, whose multiply-accumulates follow `shares`.

        Raises:
            PlanError: shares that do not fit the units, or fewer legal cuts than needed.
        """
        if len(shares) != len(problem.units) or min(shares) < 0 or sum(shares) <= 0:
            raise PlanError(
                "shares must be one figure of at least zero for each unit",
                needed=f"{len(problem.units)}: {', '.join(problem.units)}",
                had=", ".join(f"{share:g}" for share in shares),
            )
        users = [(unit, share) for unit, share in zip(problem.units, shares, strict=True) if share > 0]
        bounds = _bounds(problem.graph, [share for _, share in users])
        names = [op.name for op in problem.graph.ops]
        return tuple(
            Group(unit, tuple(names[first:last]), problem.engines_of(unit)[0])
            for (unit, _), first, last in zip(users, bounds[:-1], bounds[1:], strict=True)
        )

    def transfer_bytes(self, graph: Graph, groups: Sequence[Group]) -> int:
        """Each tensor that another unit reads crosses once for each unit that reads it."""
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
