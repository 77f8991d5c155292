"""Placements of any shape by evolution: for branchy graphs, where the best groups are not consecutive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import MissingExtra
from shoal.plan.blocks import blocks_of
from shoal.plan.planners._moves import consecutive
from shoal.plan.planners._pool import Groups, Pool, feasible_front, seeds, starts
from shoal.plan.problem import Candidates, Problem

Table = NDArray[np.float64]
Judge = Callable[[NDArray[np.int64]], tuple[Table, Table]]
Run = Callable[[Judge, NDArray[np.int64], int, int, int], None]


@dataclass(frozen=True)
class Evolve:
    """NSGA-II over a unit for each block of ops, seeded with consecutive plans, then refined block by block.

    Blocks keep what engines fuse together. [Deb et al., NSGA-II, IEEE TEC 6(2), 2002; mappings as chromosomes:
    AutoDiCE, arXiv 2207.12113]
    """

    population: int = 40  # placements alive at a time
    generations: int = 40
    seed: int = 0  # of every random choice: the same seed gives the same front
    refine: int = 150  # most placements looked at when the best in each goal is refined; 0: none

    def search(self, problem: Problem) -> Candidates:
        """A front over latency, period, largest energy and largest memory; never worse than its seeds.

        Raises:
            MissingExtra: pymoo is not installed.
        """
        run = _nsga2()
        rows = seeds(problem)
        found = Pool(blocks_of(problem))
        first = self._first(found, rows)
        if len(problem.units) > 1 and first.shape[1] > 1:
            run(found.judge, first, len(problem.units), self.generations, self.seed)
        else:
            found.judge(first)
        if self.refine:
            found.refine(self.refine)
        return feasible_front(problem, [*rows, *found.best()])

    def _first(self, found: Pool, seeded: Sequence[Groups]) -> NDArray[np.int64]:
        """The first generation: each unit with all it can run, a spread of the seeds, random consecutive divisions."""
        rng = np.random.default_rng(self.seed)
        rows = [*starts(found.able()), *(found.genes(groups) for groups in seeded[: self.population // 2])]
        while len(rows) < self.population:
            rows.append(consecutive(rng, found.size, len(found.units)))
        return np.stack(rows)


def _nsga2() -> Run:
    try:
        from shoal.plan.planners._nsga2 import run
    except ImportError as fault:
        raise MissingExtra("pymoo", "evolve") from fault
    return run
