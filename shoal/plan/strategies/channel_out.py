"""Each unit holds a share of every layer's output channels, and all gather what the next layer reads."""

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
class ChannelOut:
    """Each unit holds a share of every layer's output channels, and all gather what the next layer reads."""

    def divide(self, problem: Problem, shares: Sequence[float]) -> Division:
        """See `Strategy.divide`. Refuses more shares than a layer has channels."""
        return division_of(problem, [unit for unit, _ in users_of(problem, shares)], self._splits(problem, shares))

    def transfer_bytes(self, problem: Problem, shares: Sequence[float]) -> int:
        """Every layer's result to all the others, where the next layer reads all channels."""
        return transfer_bytes(problem.graph, self._splits(problem, shares))

    def _splits(self, problem: Problem, shares: Sequence[float]) -> tuple[Split, ...]:
        used = [share for _, share in users_of(problem, shares)]
        return by_channels(problem.graph, used, lambda opened: False) if len(used) > 1 else ()
