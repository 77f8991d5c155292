"""Each unit holds a share of every layer's input channels, and partial sums are exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.graph import Split
from shoal.graph.flow import transfer_bytes
from shoal.plan.problem import Problem
from shoal.plan.shares import users_of
from shoal.plan.strategies._channels import by_channels
from shoal.plan.strategies._parts import division_of
from shoal.plan.values import Division


@dataclass(frozen=True)
class ChannelIn:
    """Each unit holds a share of every layer's input channels, and partial sums are exchanged."""

    def divide(self, problem: Problem, shares: Sequence[float]) -> Division:
        """See `Strategy.divide`. Refuses more shares than a layer has channels."""
        return division_of(problem, [unit for unit, _ in users_of(problem, shares)], self._splits(problem, shares))

    def transfer_bytes(self, problem: Problem, shares: Sequence[float]) -> int:
        """Partial sums to whoever has their channels next."""
        return transfer_bytes(problem.graph, self._splits(problem, shares))

    def _splits(self, problem: Problem, shares: Sequence[float]) -> tuple[Split, ...]:
        used = [share for _, share in users_of(problem, shares)]
        return by_channels(problem.graph, used, lambda opened: True) if len(used) > 1 else ()
