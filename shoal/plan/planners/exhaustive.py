"""Every consecutive division on every choice of units: the oracle for small cases."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from shoal.errors import PlanError
from shoal.plan.chain import evaluate, feasible
from shoal.plan.chains import Line, lines_of
from shoal.plan.enumerate import all_plans
from shoal.plan.problem import Candidates, Problem
from shoal.search import front


@dataclass(frozen=True)
class Exhaustive:
    """Score every plan and keep the front."""

    order: Literal["given", "any"] = "any"  # units in the fleet's order, any of them left out, or in any order
    most_plans: int = 200_000  # refuse to enumerate more

    def search(self, problem: Problem) -> Candidates:
        """The front over latency, period, largest energy and largest memory."""
        return Candidates.joined([self._on(problem, line) for line in lines_of(problem)])

    def _on(self, problem: Problem, line: Line) -> Candidates:
        plans = list(islice(all_plans(line.chain, self.order), self.most_plans + 1))
        if len(plans) > self.most_plans:
            raise PlanError(
                "too many plans to enumerate", needed=f"at most {self.most_plans}", hint="use --planner chain_dp"
            )
        fitting = [plan for plan in plans if feasible(line.chain, plan)]
        scores = np.array([evaluate(line.chain, plan) for plan in fitting]).reshape(-1, 4)
        kept = front(scores)
        placements = tuple(line.groups(problem, fitting[index]) for index in kept)
        return Candidates(placements, scores[kept], exact=True)
