"""Only what goes between hosts counts: what a technique that balances too has to be better than."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.plan.experts._search import improved
from shoal.plan.experts.contiguous import Contiguous
from shoal.plan.experts.contract import ExpertProblem, Placed


@dataclass(frozen=True)
class Communication:
    """From `contiguous` step by step, as `local`, as if experts took no time."""

    def place(self, problem: ExpertProblem) -> Placed:
        """See `Placer`."""
        start = Contiguous().place(problem).placement.array
        return problem.placed(improved(problem.mean.exchange_only(), start, problem.slots))
