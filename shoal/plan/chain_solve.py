"""The Pareto set of plans over a chain: coarse passes for known plans, then the exact one.

A label programme over (cut, units used, last unit) finds every Pareto-optimal division (Martins 1984, "On a
multicriteria shortest path problem"; states and bounds in `shoal.kernels`). It is quick because real plans are
known first, and these rule out nearly all partial plans of the exact pass: the same programme on few cuts, with
labels thinned to boxes, finds some, and small changes to them, over and over, find nearly the whole front.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import PlanError
from shoal.kernels import (
    ChainNode,
    ChainPlans,
    Kernel,
    chain_kernel,
    climb_chain,
    count_unordered,
    ordered_nodes,
    sweep_chain,
    unordered_nodes,
)
from shoal.plan.chain import GOALS, Chain, Groups, Order, evaluate_all, feasible
from shoal.plan.chain_alike import alike_units
from shoal.plan.chain_fill import fillings
from shoal.plan.chain_pool import Pool
from shoal.plan.chain_tables import tabulate
from shoal.search import front, representatives

_COARSE = {  # every so many cuts, boxes of this relative size
    "native": ((12, 1.0), (6, 0.2)),
    "numpy": ((12, 1.0), (6, 0.2), (3, 0.1), (2, 0.02)),
}
_EXACT_NODES = {"native": 2304, "numpy": 80}  # states besides the cut: of 9 and of 5 unlike units in any order
_SIMPLE_NODES = 2304  # the same with one label a state
_FEW_CUTS = 4  # of a chain that is too short for the coarse passes
_CLIMB_SHARE = 0.8  # of the time left: in a hurry it finds more than the exact pass would
_SKETCH_NODES = 1024  # beyond it even few cuts take too long
_SHUFFLES = 6  # orders tried at random beside the sensible ones
_REFINED = 8  # orders of units searched at every cut once coarse plans are known
_REFINED_UNITS = 8
_REFINED_EPSILON = 0.05
_NEVER_S = 1e9  # ranks units that cannot run a piece behind those that can
_TIGHT_EPSILON = 1.0  # where memory is too tight for few cuts: any plan will do to begin with
_SKETCH_S = 5.0  # a front that is not exact is not worth waiting for longer


@dataclass(frozen=True, eq=False)
class ChainFront:
    """Feasible plans, none dominating another in the wanted goals. Empty: no plan keeps the limits."""

    groups: tuple[Groups, ...]
    objectives: NDArray[np.float64]  # (plans, 4), columns as `GOALS`, by `evaluate`
    exact: bool  # every Pareto-optimal value is there


def solve(
    chain: Chain,
    order: Order = "any",
    goals: Collection[str] = GOALS,
    *,
    epsilon: float = 0.0,
    time_limit_s: float = 60.0,
    kernel: Kernel | None = None,
) -> ChainFront:
    """Find the Pareto-optimal plans of a chain; units may be left out, one alone is a plan.

    Anytime: real plans come first and improve until the front is exact or the time is over. Units that may stand
    for each other are told apart by number only. In any order the search is exact up to nine unlike units, or more
    of few kinds (with numpy alone: five); beyond that real plans come within seconds from few cuts and the orders
    that did well.

    Args:
        chain: pieces, units and what they cost.
        order: "given": units only in the chain's order; "any": in every order.
        goals: which of `GOALS` to minimise; of plans equal in them one is kept.
        epsilon: above 0 a thinner front, not exact: one partial plan a box of this relative size.
        time_limit_s: when it has passed, what was found so far is returned, not exact.
        kernel: "native" or "numpy"; None: native where it is built.

    Raises:
        PlanError: goals or an order that do not exist, or a negative epsilon.
    """
    deadline_s = time.monotonic() + time_limit_s
    columns = _columns(goals)
    if order not in ("given", "any") or not epsilon >= 0:
        raise PlanError("no such order or epsilon", needed="given or any, ≥ 0", had=f"{order}, {epsilon}")
    search = _Search(chain, order, columns, epsilon, deadline_s, kernel or chain_kernel())
    alike = alike_units(chain)
    if order == "given":
        done = search.narrow(ordered_nodes(range(chain.units)))
    elif count_unordered(alike) <= search.most_nodes:
        done = search.narrow(unordered_nodes(alike))
    else:
        done = False
        search.sketch(alike)
    return search.front(done and epsilon == 0)


class _Search:
    """The pool of one call of `solve`, and the passes that fill it."""

    def __init__(
        self,
        chain: Chain,
        order: Order,
        columns: tuple[int, ...],
        epsilon: float,
        deadline_s: float,
        kernel: Kernel,
    ) -> None:
        self._chain, self._order, self._columns = chain, order, columns
        self._epsilon, self._deadline_s, self._kernel = epsilon, deadline_s, kernel
        self._tables, self._pool = tabulate(chain), Pool()
        simple = len(columns) == 1 and "energy" not in (GOALS[column] for column in columns)
        thinned = _EXACT_NODES["numpy"]  # boxes at every cut are as slow as the exact front
        self.most_nodes = _SIMPLE_NODES if simple else thinned if epsilon > 0 else _EXACT_NODES[kernel]

    def front(self, exact: bool) -> ChainFront:
        """The plans found, scored by the definition, without those that rounding let through."""
        plans = self._pool.plans
        scores = np.array(evaluate_all(self._chain, plans)).reshape(-1, len(GOALS))
        kept = front(scores[:, self._columns])
        return ChainFront(tuple(plans[place] for place in kept), scores[kept], exact)

    def narrow(self, nodes: tuple[ChainNode, ...]) -> bool:
        """Coarse passes and what is near their plans, then every cut; whether the last came to its end."""
        pieces = self._chain.pieces
        coarse = [step for step in _COARSE[self._kernel] if step[0] * 3 <= pieces]
        if not coarse and pieces >= 2 * _FEW_CUTS:
            coarse = [(pieces // _FEW_CUTS, 1.0)]  # something to climb from
        if not all(self._sweep(nodes, *step) for step in coarse):
            return False
        self._climb()
        return self._sweep(nodes, 1, self._epsilon)

    def sketch(self, alike: tuple[int, ...]) -> None:
        """Real plans of a large fleet: few cuts or likely orders, then all cuts in orders that did well."""
        self._deadline_s = min(self._deadline_s, time.monotonic() + _SKETCH_S)
        pieces = self._chain.pieces
        if count_unordered(alike) <= _SKETCH_NODES:
            nodes = unordered_nodes(alike)
            for cuts, epsilon in ((5, 1.0), (10, 0.2)):
                self._sweep(nodes, -(-pieces // cuts), epsilon)
        else:
            for sequence in self._likely_orders():
                self._sweep(ordered_nodes(sequence), max(1, pieces // 20), 0.2)
        if not self._pool.plans:
            for sequence in self._likely_orders():
                self._sweep(ordered_nodes(sequence), 1, _TIGHT_EPSILON)
        self._fill()
        self._climb()
        for sequence in self._orders_found():
            self._sweep(ordered_nodes(sequence), 1, _REFINED_EPSILON)

    def _fill(self) -> None:
        """Plans that fill units up to a period, in likely orders."""
        plans = [
            each for each in fillings(self._tables.run_s, self._likely_orders()) if feasible(self._chain, each)
        ]
        if plans:
            wanted = np.isin(np.arange(len(GOALS)), self._columns)
            values = np.where(wanted, np.array(evaluate_all(self._chain, plans)), 0.0)
            rows = [(number, last, unit) for number, plan in enumerate(plans) for _, last, unit in plan]
            self._pool.add(ChainPlans(values, np.array(rows, np.int64), True), np.arange(self._chain.pieces + 1))

    def _climb(self) -> None:
        if self._kernel == "numpy" or self._epsilon > 0:
            return
        left_s = self._deadline_s - time.monotonic()
        found = climb_chain(
            self._tables, self._columns, self._pool.rows(), self._order == "given", left_s * _CLIMB_SHARE
        )
        self._pool.add(found, np.arange(self._chain.pieces + 1))

    def _sweep(self, nodes: tuple[ChainNode, ...], stride: int, epsilon: float) -> bool:
        pieces = self._chain.pieces
        cuts = np.append(np.arange(0, pieces, stride), pieces)
        left_s = self._deadline_s - time.monotonic()
        if left_s < 0 and self._pool.plans:
            return False
        tables = self._tables.on_cuts(cuts) if stride > 1 else self._tables
        found = sweep_chain(tables, nodes, self._columns, self._pool.values, epsilon, left_s, kernel=self._kernel)
        self._pool.add(found, cuts)
        return found.finished

    def _likely_orders(self) -> Iterable[Sequence[int]]:
        """Quick units first and last, roomy ones first and last, and a few at random (seeded)."""
        chain = self._chain
        work = np.where(np.isfinite(chain.seconds), chain.seconds, _NEVER_S).sum(axis=0)
        for rank in (work, chain.memory_limit):
            ascending = np.argsort(rank, kind="stable").tolist()
            yield from (ascending, ascending[::-1])
        rng = np.random.default_rng(0)
        yield from (rng.permutation(chain.units).tolist() for _ in range(_SHUFFLES))

    def _orders_found(self) -> list[tuple[int, ...]]:
        """Orders of units of a spread of the known plans, filled up with units they leave out."""
        plans = self._pool.plans
        chosen = [plans[place] for place in representatives(self._pool.values, _REFINED)]
        used = [tuple(unit for _, _, unit in plan) for plan in chosen]
        rest = [[unit for unit in range(self._chain.units) if unit not in units] for units in used]
        spare = [max(0, _REFINED_UNITS - len(units)) for units in used]
        return list(dict.fromkeys((*u, *r[:count]) for u, r, count in zip(used, rest, spare, strict=True)))


def _columns(goals: Collection[str]) -> tuple[int, ...]:
    if not goals or set(goals) - set(GOALS) or isinstance(goals, str):
        raise PlanError("goals a chain does not have", where="goals", needed=", ".join(GOALS), had=repr(goals))
    return tuple(column for column, goal in enumerate(GOALS) if goal in goals)
