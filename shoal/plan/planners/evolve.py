"""Placements of any shape by evolution: for branchy graphs, where the best groups are not consecutive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shoal.errors import MissingExtra
from shoal.graph import Graph
from shoal.plan.blocks import Blocks, blocks_of
from shoal.plan.chain import GOALS
from shoal.plan.chain_solve import solve
from shoal.plan.chains import line_of
from shoal.plan.choices import units_engines
from shoal.plan.placement import Assessment, Assessor
from shoal.plan.planners._moves import Genes, climbed, consecutive
from shoal.plan.problem import Candidates, Problem
from shoal.plan.values import Group
from shoal.search import front, representatives

Groups = tuple[Group, ...]
Table = NDArray[np.float64]
Judge = Callable[[NDArray[np.int64]], tuple[Table, Table]]
Run = Callable[[Judge, NDArray[np.int64], int, int, int], None]
SEEDS_EPSILON = 0.2  # consecutive plans to start from need not be exact
SEEDS_S = 5.0  # nor waited for
MOST = 200  # placements that are scored op by op in the end
INFINITE = 1e30  # stands for inf, which NSGA-II cannot sort


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
        seeds = _seeds(problem)
        found = _Pool(blocks_of(problem))
        first = self._first(found, seeds)
        if len(problem.units) > 1 and first.shape[1] > 1:
            run(found.judge, first, len(problem.units), self.generations, self.seed)
        else:
            found.judge(first)
        if self.refine:
            found.refine(self.refine)
        return _feasible_front(problem, [*seeds, *found.best()])

    def _first(self, found: _Pool, seeds: Sequence[Groups]) -> NDArray[np.int64]:
        """The first generation: a spread of the seeds, filled up with random consecutive divisions."""
        rng = np.random.default_rng(self.seed)
        rows = [found.genes(groups) for groups in seeds[: self.population // 2]]
        while len(rows) < self.population:
            rows.append(consecutive(rng, found.size, len(found.units)))
        return np.stack(rows)


class _Pool:
    """All placements of blocks that were looked at, each assessed once."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks, self._assessor = blocks, Assessor(blocks.problem)
        self.units = blocks.problem.units
        self.size = len(blocks.members)
        self._engines = units_engines(blocks.problem)[0]
        self._known: dict[bytes, Assessment] = {}

    def judge(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Goals (rows, 4) and excess (rows,) of rows of genes."""
        found = [self.assess(row) for row in rows]
        goals = np.array([each.score for each in found])
        return np.minimum(goals, INFINITE), np.array([each.excess for each in found])

    def assess(self, genes: Genes) -> Assessment:
        """The verdict on one row of genes."""
        key = genes.tobytes()
        if key not in self._known:
            self._known[key] = self._assessor.assess(self._groups(genes))
        return self._known[key]

    def genes(self, groups: Groups) -> Genes:
        """The nearest placement of whole blocks: each where its first op is."""
        owner = {op: self.units.index(group.unit) for group in groups for op in group.ops}
        return np.array([owner[block] for block in self._blocks.members], dtype=np.int64)

    def refine(self, tries: int) -> None:
        """Climb from the best in each goal; the pool keeps what is seen on the way."""
        around = _neighbours(self._blocks.problem.graph)
        for goal in range(len(GOALS)):
            able = [key for key, each in self._known.items() if each.excess == 0]
            if able:
                start = np.frombuffer(min(able, key=partial(self._rank, goal)), dtype=np.int64)
                climbed(start, around, partial(self._better, goal), tries)

    def _rank(self, goal: int, key: bytes) -> tuple[float, ...]:
        """The goal first, then the others."""
        score = self._known[key].score
        return (score[goal], *score)

    def _better(self, goal: int, one: Genes, other: Genes) -> bool:
        fits = self.assess(one).excess == 0
        return fits and self._rank(goal, one.tobytes()) < self._rank(goal, other.tobytes())

    def best(self) -> Iterator[Groups]:
        """A spread of the feasible front, over ops."""
        able = [key for key, each in self._known.items() if each.excess == 0]
        scores = np.array([self._known[key].score for key in able]).reshape(-1, len(GOALS))
        kept = front(scores)
        for index in kept[representatives(scores[kept], MOST)]:
            yield self._blocks.groups(self._groups(np.frombuffer(able[index], dtype=np.int64)))

    def _groups(self, genes: Genes) -> Groups:
        owners: dict[int, list[str]] = {}
        for block, unit in zip(self._blocks.members, genes.tolist(), strict=True):
            owners.setdefault(unit, []).append(block)
        return tuple(Group(self.units[unit], tuple(names), self._engines[unit]) for unit, names in owners.items())


def _nsga2() -> Run:
    try:
        from shoal.plan.planners._nsga2 import run
    except ImportError as fault:
        raise MissingExtra("pymoo", "evolve") from fault
    return run


def _seeds(problem: Problem) -> list[Groups]:
    """Consecutive plans: the exact bests in period and latency, then a thin front of all goals."""
    line = line_of(problem)
    quick = [solve(line.chain, goals=(goal,), time_limit_s=SEEDS_S) for goal in ("period", "latency")]
    thin = solve(line.chain, epsilon=SEEDS_EPSILON, time_limit_s=SEEDS_S)
    spread = [thin.groups[index] for index in representatives(thin.objectives, MOST)]
    divisions = dict.fromkeys((*(groups for found in quick for groups in found.groups), *spread))
    return [line.groups(problem, division) for division in divisions]


def _feasible_front(problem: Problem, placements: Sequence[Groups]) -> Candidates:
    assessor = Assessor(problem)
    assessed = [(groups, assessor.assess(groups)) for groups in placements]
    able = [(groups, found.score) for groups, found in assessed if found.excess == 0]
    scores = np.array([score for _, score in able]).reshape(-1, len(GOALS))
    kept = front(scores)
    return Candidates(tuple(able[index][0] for index in kept), scores[kept], exact=False)


def _neighbours(graph: Graph) -> list[list[int]]:
    """Indices of the ops that each op exchanges tensors with."""
    around: list[set[int]] = [set() for _ in graph.ops]
    for name, maker in graph.producer.items():
        for reader in graph.consumers[name]:
            around[maker].add(reader)
            around[reader].add(maker)
    return [sorted(each) for each in around]
