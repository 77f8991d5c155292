"""Placements of blocks that a search has looked at, what to begin with, and the front in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shoal.graph import Graph
from shoal.plan.blocks import Blocks
from shoal.plan.chain import GOALS
from shoal.plan.chain_solve import solve
from shoal.plan.chains import line_of
from shoal.plan.choices import units_engines
from shoal.plan.placement import Assessment, Assessor
from shoal.plan.planners._moves import Genes, climbed
from shoal.plan.problem import Candidates, Problem
from shoal.plan.values import Group
from shoal.search import front, representatives

Groups = tuple[Group, ...]
SEEDS_EPSILON = 0.2  # consecutive plans to start from need not be exact
SEEDS_S = 5.0  # nor waited for
MOST = 200  # placements that are scored op by op in the end
INFINITE = 1e30  # stands for inf, which searches cannot reckon with


class Pool:
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

    def able(self) -> NDArray[np.bool_]:
        """Which unit can run which block, shape (blocks, units)."""
        problem = self._blocks.problem
        seconds = [problem.op_seconds(*each) for each in zip(self.units, self._engines, strict=True)]
        return np.isfinite(np.stack(seconds, axis=1))

    def seen(self) -> list[Genes]:
        """All feasible placements that were looked at."""
        return [np.frombuffer(key, dtype=np.int64) for key, each in self._known.items() if each.excess == 0]

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


def starts(able: NDArray[np.bool_]) -> list[Genes]:
    """Everything on one unit, but for what cannot run there, which goes to the first that can."""
    anywhere = able.argmax(axis=1)
    return [np.where(able[:, unit], unit, anywhere).astype(np.int64) for unit in range(able.shape[1])]


def seeds(problem: Problem) -> list[Groups]:
    """Consecutive plans: the exact bests in period and latency, then a thin front of all goals."""
    line = line_of(problem)
    quick = [solve(line.chain, goals=(goal,), time_limit_s=SEEDS_S) for goal in ("period", "latency")]
    thin = solve(line.chain, epsilon=SEEDS_EPSILON, time_limit_s=SEEDS_S)
    spread = [thin.groups[index] for index in representatives(thin.objectives, MOST)]
    divisions = dict.fromkeys((*(groups for found in quick for groups in found.groups), *spread))
    return [line.groups(problem, division) for division in divisions]


def feasible_front(problem: Problem, placements: Sequence[Groups]) -> Candidates:
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
