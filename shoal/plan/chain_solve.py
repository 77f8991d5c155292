"""The Pareto set of plans over a chain: coarse passes for known plans, then the exact one.

A label programme over (cut, units used, last unit) finds every Pareto-optimal division (Martins 1984, "On a
multicriteria shortest path problem"; states and bounds in `chain_labels` and `chain_bounds`). It is quick
because the same programme on few cuts, with labels thinned to boxes, finds real plans first, and these rule
out nearly all partial plans of the exact pass.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import PlanError
from shoal.plan.chain import GOALS, Chain, Groups, Order, evaluate
from shoal.plan.chain_bounds import to_go
from shoal.plan.chain_labels import Pass
from shoal.plan.chain_pool import Pool
from shoal.plan.chain_space import Node, ordered, unordered
from shoal.plan.chain_tables import Tables, tabulate
from shoal.search import front, representatives

_COARSE = ((12, 1.0), (6, 0.2), (3, 0.1), (2, 0.02))  # every so many cuts, boxes of this relative size
_SETS_UP_TO = 8  # units beyond which sets of used units are too many even for few cuts
_SHUFFLES = 6  # orders tried at random beside the sensible ones
_REFINED = 8  # orders of units searched at every cut once coarse plans are known
_REFINED_EPSILON = 0.05
_NEVER_S = 1e9  # ranks units that cannot run a piece behind those that can
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
    exact_up_to: int = 5,
) -> ChainFront:
    """Find the Pareto-optimal plans of a chain; units may be left out, one alone is a plan.

    Args:
        chain: pieces, units and what they cost.
        order: "given": units only in the chain's order; "any": in every order.
        goals: which of `GOALS` to minimise; of plans equal in them one is kept.
        epsilon: above 0 a thinner front, not exact: one partial plan a box of this relative size.
        time_limit_s: when it has passed, what was found so far is returned, not exact.
        exact_up_to: units up to which any order is searched exactly (8 for latency, period or memory alone);
            beyond it real plans, not exact, come within seconds from few cuts and the orders that did well.

    Raises:
        PlanError: goals or an order that do not exist, or a negative epsilon.
    """
    search = _Search(chain, tabulate(chain), _columns(goals), time.monotonic() + time_limit_s)
    if order not in ("given", "any") or not epsilon >= 0:
        raise PlanError("no such order or epsilon", needed="given or any, ≥ 0", had=f"{order}, {epsilon}")
    units = range(chain.units)
    simple = len(set(goals)) == 1 and "energy" not in goals  # one label a state
    if order == "given":
        done = search.narrow(ordered(units), epsilon)
    elif chain.units <= (_SETS_UP_TO if simple else exact_up_to):
        done = search.narrow(unordered(units), epsilon)
    else:
        done = False
        search.sketch()
    return search.front(done and epsilon == 0)


class _Search:
    """The pool of one call of `solve`, and the passes that fill it."""

    def __init__(self, chain: Chain, tables: Tables, columns: tuple[int, ...], deadline_s: float) -> None:
        self._chain, self._tables, self._columns, self._deadline_s = chain, tables, columns, deadline_s
        self._pool = Pool(len(columns))

    def front(self, exact: bool) -> ChainFront:
        """The plans found, scored by the definition, without those that rounding let through."""
        plans = self._pool.plans()
        scores = np.array([evaluate(self._chain, plan) for plan in plans]).reshape(-1, len(GOALS))
        kept = front(scores[:, sorted(self._columns)])
        return ChainFront(tuple(plans[place] for place in kept), scores[kept], exact)

    def narrow(self, nodes: tuple[Node, ...], epsilon: float) -> bool:
        """Coarse passes, then every cut; whether all came to their end."""
        strides = [step for step in _COARSE if step[0] * 3 <= self._chain.pieces]
        return all(self._sweep(nodes, *step) for step in (*strides, (1, epsilon)))

    def sketch(self) -> None:
        """Real plans of a large fleet: few cuts or likely orders, then all cuts in orders that did well."""
        self._deadline_s = min(self._deadline_s, time.monotonic() + _SKETCH_S)
        units, pieces = self._chain.units, self._chain.pieces
        if units <= _SETS_UP_TO:
            nodes = unordered(range(units))
            for cuts, epsilon in ((5, 1.0), (10, 0.2)):
                self._sweep(nodes, -(-pieces // cuts), epsilon)
        else:
            for sequence in self._likely_orders():
                self._sweep(ordered(sequence), max(1, pieces // 20), 0.2)
        for sequence in self._orders_found():
            self._sweep(ordered(sequence), 1, _REFINED_EPSILON)

    def _sweep(self, nodes: tuple[Node, ...], stride: int, epsilon: float) -> bool:
        pieces = self._chain.pieces
        cuts = np.append(np.arange(0, pieces, stride), pieces)
        tables = self._tables.on_cuts(cuts)
        if time.monotonic() > self._deadline_s and len(self._pool.values):
            return False
        bounds = to_go(tables, nodes, energy=GOALS.index("energy") in self._columns)
        history = self._pool.open(cuts)
        return Pass(tables, nodes, bounds, self._columns, self._pool, history, epsilon, self._deadline_s).run()

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
        plans = self._pool.plans()
        chosen = [plans[place] for place in representatives(self._pool.values, _REFINED)]
        used = [tuple(unit for _, _, unit in plan) for plan in chosen]
        rest = [[unit for unit in range(self._chain.units) if unit not in units] for units in used]
        spare = [max(0, _SETS_UP_TO - len(units)) for units in used]
        return list(dict.fromkeys((*u, *r[:count]) for u, r, count in zip(used, rest, spare, strict=True)))


def _columns(goals: Collection[str]) -> tuple[int, ...]:
    """Columns of GOALS, the period last: known plans then tell the longest period worth having."""
    if not goals or set(goals) - set(GOALS) or isinstance(goals, str):
        raise PlanError("goals a chain does not have", where="goals", needed=", ".join(GOALS), had=repr(goals))
    columns = [GOALS.index(goal) for goal in GOALS if goal in goals and goal != "period"]
    return (*columns, GOALS.index("period")) if "period" in goals else tuple(columns)
