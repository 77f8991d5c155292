"""Placements of any shape by simulated annealing: nothing to install, and nothing but a cost to follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.plan.blocks import blocks_of
from shoal.plan.chain import GOALS
from shoal.plan.planners._moves import Genes, mutated
from shoal.plan.planners._pool import INFINITE, Pool, feasible_front, starts
from shoal.plan.problem import Candidates, Problem
from shoal.search import Cooling, anneal

F64 = NDArray[np.float64]
COLUMNS = {"latency": 0, "throughput": 1, "energy": 2, "memory": 3}  # objective → column of the scores
ASIDE = 0.02  # weight of goals that are not asked for: of equals in the others, the better one
PENALTY = 3.0  # what one unit of excess adds to the cost, in e-foldings


@dataclass(frozen=True)
class Anneal:
    """Several walks over a unit for each block of ops, each for other weights of the goals; all they saw is kept.

    A walk's cost is the weighted sum of the logarithms of the goals, so a weight is what a per cent is worth. Half
    of the budget goes to the goals that are asked for, the rest to each goal alone and to mixtures.
    [Kirkpatrick, Gelatt, Vecchi, Science 220, 1983; several objectives by several weights: Serafini, 1994]
    """

    evaluations: int = 4000  # placements looked at, over all walks
    restarts: int = 16  # walks, of which two are for the goals that are asked for
    seed: int = 0  # of every random choice: the same seed gives the same front

    def search(self, problem: Problem) -> Candidates:
        """The front over latency, period, largest energy and largest memory of what the walks came upon.

        Raises:
            InputError: fewer than no evaluations.
        """
        found = Pool(blocks_of(problem))
        able = found.able()
        if not able.any(axis=1).all():
            return Candidates((), np.empty((0, len(GOALS))), exact=False)
        for number, (weights, steps) in enumerate(self._walks(problem)):
            cost = _cost(found, weights)
            begun = [*starts(able), *found.seen()]
            best = min(begun, key=cost)
            if len(problem.units) > 1:
                rng = np.random.default_rng((self.seed, number))
                anneal(best, _neighbour(able), cost, Cooling(steps), rng)
        return feasible_front(problem, list(found.best()))

    def _walks(self, problem: Problem) -> list[tuple[F64, int]]:
        """The weights of the goals and the budget of each walk."""
        asked = np.full(len(GOALS), ASIDE)
        for rank, goal in enumerate(problem.objective.goals):
            if goal in COLUMNS:
                asked[COLUMNS[goal]] = 0.5**rank
        single = [np.where(np.arange(len(GOALS)) == goal, 1.0, ASIDE) for goal in range(len(GOALS))]
        mixed = np.random.default_rng(self.seed).dirichlet(np.ones(len(GOALS)), max(0, self.restarts))
        weights = [asked, *single, asked, *mixed][: max(1, self.restarts)]
        main = sum(each is asked for each in weights)
        rest = len(weights) - main
        large = self.evaluations // (2 * main) if rest else self.evaluations // main
        small = (self.evaluations - large * main) // rest if rest else 0
        return [(each, large if each is asked else small) for each in weights]


def _cost(found: Pool, weights: F64) -> Callable[[Genes], float]:
    def cost(genes: Genes) -> float:
        verdict = found.assess(genes)
        goals = np.clip(verdict.score, 1 / INFINITE, INFINITE)
        return float(weights @ np.log(goals)) + PENALTY * (verdict.excess > 0) + PENALTY * verdict.excess

    return cost


def _neighbour(able: NDArray[np.bool_]) -> Callable[[np.random.Generator, Genes], Genes]:
    """Small steps; a block that cannot run where a step would put it stays where it is."""
    blocks = np.arange(len(able))

    def neighbour(rng: np.random.Generator, genes: Genes) -> Genes:
        made = mutated(rng, genes, able.shape[1])
        return np.where(able[blocks, made], made, genes)

    return neighbour
