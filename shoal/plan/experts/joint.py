"""One integer programme of all layers: the least there is, for small models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.errors import InputError, LimitError
from shoal.plan.experts._programme import Question, broken_symmetry
from shoal.plan.experts.contract import ExpertProblem, Placed
from shoal.plan.experts.local import Local


@dataclass(frozen=True)
class Joint:
    """HiGHS begins with what `local` found. Where the time is up, the best so far is given with its gap.

    Where a token's state moves on, the hosts of two experts are multiplied, by as many unknowns as there are pairs of
    experts and of hosts; too many are refused before they are written down.
    """

    time_limit_s: float = 60.0
    gap: float = 0.0  # relative, at which the solver stops
    most_products: int = 50_000  # unknowns that stand for products

    def __post_init__(self) -> None:
        if not (self.time_limit_s > 0 and self.gap >= 0 and self.most_products >= 0):
            raise InputError("options out of range", where="joint", had=repr(self),
                             needed="time_limit_s > 0, gap ≥ 0, most_products ≥ 0")  # fmt: skip

    def place(self, problem: ExpertProblem) -> Placed:
        """See `Placer`."""
        mean = problem.mean
        begun = Local().place(problem)
        start = begun.placement.array
        sizes = np.ones_like(start)
        asked = Question(mean, broken_symmetry(mean, start), problem.slots, sizes, start)
        if asked.products > self.most_products:
            raise LimitError("too many products of unknowns", where="joint", needed=f"{asked.products}",
                             had=f"{self.most_products}", hint="'ilp' places groups of experts, 'local' needs no solver")  # fmt: skip
        places, gap = asked.solve(self.time_limit_s, self.gap)
        notes = () if gap <= self.gap else (f"stopped after {self.time_limit_s:g} s",)
        return problem.placed(places, gap, notes)
