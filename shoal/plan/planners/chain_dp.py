"""Exact Pareto set of consecutive groups on unlike units, by dynamic programming over the legal cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shoal.plan.chain_solve import solve
from shoal.plan.chains import Line, lines_of
from shoal.plan.problem import Candidates, Problem


@dataclass(frozen=True)
class ChainDp:
    """Pareto label programme over (cut, units used, last unit). [Martins, multicriteria shortest paths, 1984]"""

    order: Literal["given", "any"] = "any"  # units in the fleet's order, any of them left out, or in any order
    epsilon: float = 0.0  # relative width of the boxes in which one plan stands for all; 0 = exact
    time_limit_s: float = 60.0  # afterwards the best plans found so far, labelled not exact

    def search(self, problem: Problem) -> Candidates:
        """The front over latency, period, largest energy and largest memory."""
        return Candidates.joined([self._on(problem, line) for line in lines_of(problem)])

    def _on(self, problem: Problem, line: Line) -> Candidates:
        found = solve(line.chain, self.order, epsilon=self.epsilon, time_limit_s=self.time_limit_s)
        placements = tuple(line.groups(problem, division) for division in found.groups)
        return Candidates(placements, found.objectives, found.exact)
