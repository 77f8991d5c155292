"""A genetic search over cut positions: one integer for each unit says where its stretch of the network begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shoal.errors import MissingExtra
from shoal.plan.chain import GOALS, Chain, Groups, device_loads, evaluate
from shoal.plan.chains import lines_of
from shoal.plan.problem import Candidates, Problem
from shoal.search import front

Genes = NDArray[np.int64]
Table = NDArray[np.float64]
INFINITE = 1e30  # stands for inf, which NSGA-II cannot sort


@dataclass(frozen=True)
class CutGenes:
    """NSGA-II over a cut position for each unit; nothing is known beforehand, and nothing is exact.

    Sorted, the positions divide the network into consecutive stretches, and whose position it is has the stretch; a
    position behind the last cut leaves its unit out. A baseline to `chain_dp`, which finds the same plans exactly.
    [AutoDiCE, arXiv 2207.12113, and its public code; Deb et al., NSGA-II, IEEE TEC 6(2), 2002]
    """

    population: int = 100  # rows alive at a time
    generations: int = 200
    seed: int = 0  # of every random choice: the same seed gives the same front

    def search(self, problem: Problem) -> Candidates:
        """A front over latency, period, largest energy and largest memory.

        Raises:
            MissingExtra: pymoo is not installed.
        """
        run = _nsga2()
        found = []
        for line in lines_of(problem):
            pool = _Pool(line.chain)
            spread = line.chain.pieces + max(1, line.chain.pieces // line.chain.units)  # some are left out
            first = np.random.default_rng(self.seed).integers(0, spread, (self.population, line.chain.units))
            first[0] = 0  # one unit has all of it
            run(pool.judge, first, spread, self.generations, self.seed)
            divisions, scores = pool.front()
            placements = tuple(line.groups(problem, division) for division in divisions)
            found.append(Candidates(placements, scores, exact=False))
        return Candidates.joined(found)


def division_of(genes: Sequence[int], pieces: int) -> Groups:
    """The stretches that a row of cut positions stands for; none if every unit is left out."""
    order = [int(unit) for unit in np.argsort(genes, kind="stable") if genes[unit] < pieces]
    starts = [0, *(int(genes[unit]) for unit in order[1:]), pieces]
    return tuple((a, b, unit) for unit, (a, b) in zip(order, pairwise(starts), strict=False) if a < b)


class _Pool:
    """All divisions that were looked at, each assessed once."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._known: dict[Groups, tuple[tuple[float, ...], float]] = {}

    def judge(self, rows: Genes) -> tuple[Table, Table]:
        """Goals (rows, 4) and excess (rows,) of rows of genes."""
        found = [self._assess(division_of(row, self._chain.pieces)) for row in rows]
        return np.minimum([goals for goals, _ in found], INFINITE), np.array([excess for _, excess in found])

    def front(self) -> tuple[list[Groups], Table]:
        """The divisions that keep their limits and that no other beats, with their scores."""
        able = [groups for groups, (_, excess) in self._known.items() if excess == 0]
        scores = np.array([self._known[groups][0] for groups in able]).reshape(-1, len(GOALS))
        kept = front(scores)
        return [able[index] for index in kept], scores[kept]

    def _assess(self, groups: Groups) -> tuple[tuple[float, ...], float]:
        if not groups:
            return (INFINITE,) * len(GOALS), 1.0
        if groups not in self._known:
            score = evaluate(self._chain, groups)
            self._known[groups] = (score, self._excess(groups) if np.isfinite(score.latency_s) else 1.0)
        return self._known[groups]

    def _excess(self, groups: Groups) -> float:
        """The share of memory beyond its limits, over all devices."""
        limits = dict(zip(self._chain.device_of.tolist(), self._chain.memory_limit.tolist(), strict=True))
        loads = device_loads(self._chain, groups)
        return float(sum(max(0.0, load.memory_bytes / limits[device] - 1.0) for device, load in loads.items()))


def _nsga2() -> Callable[[Callable[[Genes], tuple[Table, Table]], Genes, int, int, int], None]:
    try:
        from shoal.plan.planners._nsga2 import run_integers
    except ImportError as fault:
        raise MissingExtra("pymoo", "evolve") from fault
    return run_integers
