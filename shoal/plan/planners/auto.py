"""Consecutive groups, exactly; and any placement, where some units can run some of the ops only, or pins ask for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.plan.planners.anneal import Anneal
from shoal.plan.planners.chain_dp import ChainDp
from shoal.plan.problem import Candidates, Problem


@dataclass(frozen=True)
class Auto:
    """`chain_dp`; an accelerator that has no unit for activations is of use only where work goes there and back: `anneal`."""

    evaluations: int = 2000  # of the search among any placements
    seed: int = 0  # of its random choices

    def search(self, problem: Problem) -> Candidates:
        """The front of `chain_dp`, or of both."""
        consecutive = ChainDp().search(problem)
        if not _partial(problem) and (consecutive.placements or not problem.pins):
            return consecutive
        anywhere = Anneal(self.evaluations, seed=self.seed).search(problem)
        return Candidates.joined([each for each in (consecutive, anywhere) if each.placements] or [consecutive])


def _partial(problem: Problem) -> bool:
    """Whether some unit can run some ops and not others, pins aside."""
    for unit in problem.units:
        able = [np.isfinite(problem.costs.op_seconds(unit, engine)) for engine in problem.engines_of(unit)]
        if 0 < int(np.any(able, axis=0).sum()) < len(problem.graph.ops):
            return True
    return False
