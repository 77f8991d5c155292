"""Divisions by a strategy: on how many units, and with which shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from shoal import catalog
from shoal.errors import PlanError
from shoal.plan.problem import Problem, Strategy
from shoal.plan.values import Division, Plan
from shoal.plan.wishes import Wishes

ROUNDS = 3  # corrections of the shares: after two or three the busiest unit no longer changes
SAME = 0.01  # relative spread of busy times that is not worth another correction


def by_strategy(problem: Problem, wishes: Wishes, planned: Callable[[Division], Plan]) -> list[Plan]:
    """Plans of the wished strategy: with the wished shares, or on the 1, 2, 3 … fastest units, evenly busy.

    Raises:
        PlanError: the strategy cannot divide the graph in any such way.
    """
    _check_pins(problem, wishes)
    strategy: Strategy = catalog.make("plan/strategies", wishes.strategy)
    if wishes.shares:
        return [planned(strategy.divide(problem, wishes.shares))]
    plans, faults = [], []
    for shares in _started(problem):
        try:
            plans += _balanced(problem, strategy, shares, planned)
        except PlanError as fault:
            faults.append(fault)
    if not plans:
        raise faults[-1]
    return plans


def speeds(problem: Problem) -> list[float]:
    """Items a second of each unit if it ran all ops by itself; 0 if it cannot."""
    seconds = [
        min(float(problem.op_seconds(unit, engine).sum()) for engine in problem.engines_of(unit))
        for unit in problem.units
    ]
    return [1.0 / each if np.isfinite(each) else 0.0 for each in seconds]


def _started(problem: Problem) -> Iterator[list[float]]:
    """Shares in proportion to speed, on ever more units, the fastest first."""
    fast = speeds(problem)
    order = sorted((unit for unit in range(len(fast)) if fast[unit] > 0), key=lambda unit: -fast[unit])
    for count in range(1, len(order) + 1):
        yield [fast[unit] if unit in order[:count] else 0.0 for unit in range(len(fast))]


def _balanced(
    problem: Problem, strategy: Strategy, shares: Sequence[float], planned: Callable[[Division], Plan]
) -> list[Plan]:
    """Plans with shares corrected by how busy each unit turned out to be; those that can be made."""
    plans = [planned(strategy.divide(problem, shares))]
    for _ in range(ROUNDS):
        busy_s = [plans[-1].prediction.busy_s.get(unit.partition("/")[0], 0.0) for unit in problem.units]
        used = [busy for busy, share in zip(busy_s, shares, strict=True) if share > 0]
        if len(used) < 2 or min(used) == 0 or max(used) <= min(used) * (1 + SAME):
            break
        shares = [
            share * sum(used) / busy if share > 0 else 0.0 for share, busy in zip(shares, busy_s, strict=True)
        ]
        try:
            plans.append(planned(strategy.divide(problem, shares)))
        except PlanError:
            break  # a share has become too small for a row or channel
    return plans


def _check_pins(problem: Problem, wishes: Wishes) -> None:
    if problem.pins:
        raise PlanError(
            f"pins hold ops on one device, and '{wishes.strategy}' divides them between several",
            hint="leave out --pin, or use --strategy stage",
        )
