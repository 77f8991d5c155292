"""Layers in pairs, the first by output channels and the second by input channels, with nothing sent between."""

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
class ChannelPair:
    """Layers in pairs, the first by output channels and the second by input channels, with nothing sent between."""

    def divide(self, problem: Problem, shares: Sequence[float]) -> Division:
        """See `Strategy.divide`. Refuses more shares than a layer has channels."""
        return division_of(problem, [unit for unit, _ in users_of(problem, shares)], self._splits(problem, shares))

    def transfer_bytes(self, problem: Problem, shares: Sequence[float]) -> int:
        """After every second layer partial sums, and their gathering for the next pair."""
        return transfer_bytes(problem.graph, self._splits(problem, shares))

    def _splits(self, problem: Problem, shares: Sequence[float]) -> tuple[Split, ...]:
        used = [share for _, share in users_of(problem, shares)]
        return by_channels(problem.graph, used, lambda opened: opened) if len(used) > 1 else ()
