"""The Pareto set of plans over a chain: coarse passes for known plans, then the exact one."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import PlanError
from shoal.plan.chain import GOALS, Chain, Groups, evaluate
from shoal.plan.chain_bounds import to_go
from shoal.plan.chain_labels import Pass
from shoal.plan.chain_pool import Pool
from shoal.plan.chain_space import Node, ordered, unordered
from shoal.plan.chain_tables import Tables, tabulate
from shoal.plan.enumerate import Order
from shoal.search import front

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChainFront:
    """Plans none of which dominates another in the wanted goals. Empty: no plan keeps the limits."""

    groups: tuple[Groups, ...]
    objectives: F64  # (plans, 4), columns as `GOALS`, by `evaluate`
    exact: bool  # every Pareto-optimal value is there


_COARSE = ((12, 1.0), (6, 0.2), (3, 0.1))  # every so many cuts, with boxes of this relative size


def solve(
    chain: Chain,
    order: Order = "any",
    goals: Collection[str] = GOALS,
    epsilon: float = 0.0,
    time_limit_s: float = 60.0,
) -> ChainFront:
    goal_columns = _columns(goals)
    deadline = time.monotonic() + time_limit_s
    tables = tabulate(chain)
    nodes = ordered(range(chain.units)) if order == "given" else unordered(range(chain.units))
    pool = Pool(len(goal_columns))
    done = True
    n = chain.pieces
    for stride, eps in (*_COARSE, (1, epsilon)):
        if stride > 1 and n // stride < 3: continue
        cuts = np.unique(np.append(np.arange(0, n, stride), n))
        part = tables.on_cuts(cuts)
        t0 = time.perf_counter()
        done = Pass(part, nodes, to_go(part, nodes), goal_columns, pool, pool.open(cuts), eps, deadline).run()
        print(stride, eps, len(pool.values), time.perf_counter() - t0, pool.histories[-1].starts[-1])
    plans = pool.plans()
    scores = np.array([evaluate(chain, g) for g in plans]).reshape(-1, 4)
    kept = front(scores[:, sorted(goal_columns)])
    return ChainFront(tuple(plans[i] for i in kept), scores[kept], done and epsilon == 0)


def _columns(goals: Collection[str]) -> tuple[int, ...]:
    """Columns of GOALS, the period last: known plans then tell the longest period worth having."""
    unknown = sorted(set(goals) - set(GOALS))
    if unknown or not goals:
        raise PlanError("goals a chain does not have", where="goals", needed=", ".join(GOALS), had=str(list(goals)))
    columns = [GOALS.index(goal) for goal in GOALS if goal in goals and goal != "period"]
    return (*columns, 1) if "period" in goals else tuple(columns)
