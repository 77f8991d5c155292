"""NSGA-II by pymoo, over rows of integers. Imported by planners when they search: pymoo is an extra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.optimize import minimize

from shoal.plan.planners._moves import Genes, crossed, mutated

Table = NDArray[np.float64]
Judge = Callable[[NDArray[np.int64]], tuple[Table, Table]]  # rows → goals (rows, 4), excess (rows,)


def run(judge: Judge, first: NDArray[np.int64], units: int, generations: int, seed: int) -> None:
    """Let `judge` see the placements of `generations`, the first of which is given; shape (population, blocks)."""
    rng = np.random.default_rng(seed)
    algorithm = NSGA2(
        pop_size=len(first),
        sampling=first,
        crossover=_Stretch(rng),
        mutation=_Step(rng, units),
        eliminate_duplicates=True,
    )
    minimize(_Placing(judge, first.shape[1], units), algorithm, ("n_gen", generations), seed=seed, verbose=False)


def run_integers(judge: Judge, first: NDArray[np.int64], values: int, generations: int, seed: int) -> None:
    """The same over rows whose order of genes means nothing: plain integers below `values`, one in a row mutated."""
    algorithm = NSGA2(
        pop_size=len(first),
        sampling=first,
        crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=RoundingRepair()),
        mutation=PM(prob=1.0, prob_var=1.0 / first.shape[1], eta=3.0, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    problem = _Placing(judge, first.shape[1], values)
    minimize(problem, algorithm, ("n_gen", generations), seed=seed, verbose=False)


class _Placing(Problem):  # type: ignore[misc]  # pymoo has no types
    def __init__(self, judge: Judge, blocks: int, units: int) -> None:
        super().__init__(n_var=blocks, n_obj=4, n_ieq_constr=1, xl=0, xu=units - 1, vtype=int)
        self._judge = judge

    def _evaluate(self, x: NDArray[np.int64], out: dict[str, Any], *_: Any, **__: Any) -> None:
        goals, excess = self._judge(x.astype(np.int64))
        out["F"], out["G"] = goals, excess[:, None]


class _Stretch(Crossover):  # type: ignore[misc]  # pymoo has no types
    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(2, 2, prob=0.9)
        self._rng = rng

    def _do(self, _: Any, parents: NDArray[np.int64], **__: Any) -> NDArray[np.int64]:
        """Shape (2, matings, blocks) to the same."""
        pairs = [crossed(self._rng, one, other) for one, other in zip(*parents, strict=True)]
        return np.stack([np.stack([pair[child] for pair in pairs]) for child in (0, 1)])


class _Step(Mutation):  # type: ignore[misc]  # pymoo has no types
    def __init__(self, rng: np.random.Generator, units: int) -> None:
        super().__init__(prob=1.0)
        self._rng, self._units = rng, units

    def _do(self, _: Any, rows: NDArray[np.int64], **__: Any) -> NDArray[np.int64]:
        return np.stack([self._mutated(row) for row in rows])

    def _mutated(self, genes: Genes) -> Genes:
        return mutated(self._rng, genes.astype(np.int64), self._units)
