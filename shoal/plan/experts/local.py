"""Step by step, from several beginnings: for models of any size."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.errors import InputError
from shoal.plan.experts._search import improved
from shoal.plan.experts.contiguous import Contiguous
from shoal.plan.experts.contract import ExpertProblem, Placed, Placer
from shoal.plan.experts.lpt import Lpt
from shoal.plan.experts.random import Random


@dataclass(frozen=True)
class Local:
    """Layers forward and backward: hosts assigned to a layer's groups of experts by what goes to and from the layers
    beside it, then pairs of experts exchanged and single ones moved, as long as the objective falls.

    [assignment: Kuhn, "The Hungarian Method for the Assignment Problem", 1955]
    """  # fmt: skip

    starts: int = 2  # at random, beside those by order and by load

    def __post_init__(self) -> None:
        if self.starts < 0:
            raise InputError("no number of beginnings", where="local", needed="0 or more", had=str(self.starts))

    def place(self, problem: ExpertProblem) -> Placed:
        """See `Placer`."""
        beginnings: tuple[Placer, ...] = (Contiguous(), Lpt(), *map(Random, range(self.starts)))
        begun = [each.place(problem) for each in beginnings]
        mean, slots = problem.mean, problem.slots
        found = [improved(mean, each.placement.array, slots) for each in begun]
        return problem.placed(min(found, key=mean.objective_s))
