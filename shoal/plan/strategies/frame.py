"""Whole items in turn over full copies of the network: nothing is sent between units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.plan.problem import Problem
from shoal.plan.shares import users_of
from shoal.plan.values import Division, Group, Replica


@dataclass(frozen=True)
class Frame:
    """Replicas: unit i gets `shares[i]` of the items. Raises throughput, never shortens one item."""

    def divide(self, problem: Problem, shares: Sequence[float]) -> Division:
        """See `Strategy.divide`."""
        ops = tuple(op.name for op in problem.graph.ops)
        users = users_of(problem, shares)
        total = sum(share for _, share in users)
        return Division(
            tuple(Replica((Group(unit, ops, problem.engines_of(unit)[0]),), share / total) for unit, share in users)
        )

    def transfer_bytes(self, problem: Problem, shares: Sequence[float]) -> int:
        """None between units."""
        users_of(problem, shares)
        return 0
