"""Complete plans of a chain found so far, none dominating another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal.kernels import ChainPlans
from shoal.plan.chain import GOALS, Groups
from shoal.search import front

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


class Pool:
    """What the passes over a chain have found between them."""

    def __init__(self) -> None:
        self.values: F64 = np.empty((0, len(GOALS)))  # as in `ChainPlans`
        self.plans: list[Groups] = []

    def add(self, found: ChainPlans, cuts: Ints) -> None:
        """Take plans whose cuts are places in `cuts`, the chain's cuts."""
        values = np.concatenate([self.values, found.values])
        plans = [*self.plans, *_plans(found, cuts)]
        kept = front(values)
        self.values, self.plans = values[kept], [plans[place] for place in kept]

    def rows(self) -> Ints:
        """The plans in the form of `ChainPlans.groups`, over all cuts."""
        rows = [(number, last, unit) for number, plan in enumerate(self.plans) for _, last, unit in plan]
        return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _plans(found: ChainPlans, cuts: Ints) -> list[Groups]:
    lists: list[list[tuple[int, int, int]]] = [[] for _ in range(len(found.values))]
    for plan, place, unit in found.groups.tolist():
        groups = lists[plan]
        groups.append((groups[-1][1] if groups else 0, int(cuts[place]), unit))
    return [tuple(groups) for groups in lists]
