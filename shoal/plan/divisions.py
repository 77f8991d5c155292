"""Divisions by a strategy: on how many units, with which shares, and why a plan that came of it is as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from shoal import catalog
from shoal.errors import PlanError
from shoal.plan.explain_shares import busy_of, reasons_of
from shoal.plan.problem import Problem, Strategy, Varied
from shoal.plan.values import Division, Group, Plan, Replica
from shoal.plan.wishes import Wishes

FAMILY = "plan/strategies"
ROUNDS = 3  # corrections of the shares: after two or three the busiest unit no longer changes
SAME = 0.01  # relative spread of busy times that is not worth another correction

Planned = Callable[[Division, str, str], Plan]  # a division, the strategy and how its shares were found → Plan


def by_strategy(problem: Problem, wishes: Wishes, strategy: str, planned: Planned) -> list[Plan]:
    """Plans of a strategy: with the wished shares, or on the 1, 2, 3 … fastest units, evenly busy.

    Args:
        problem: what is divided.
        wishes: of which the shares count.
        strategy: its name, with options as the user wrote them.
        planned: makes a Plan of a division, given the strategy's name and how the shares were found.

    Raises:
        PlanError: the strategy cannot divide the graph in any such way.
    """
    _check_pins(problem, strategy)
    technique: Strategy = catalog.make(FAMILY, strategy)
    if wishes.shares:
        how = "shares " + ",".join(f"{share:g}" for share in wishes.shares)
        plans = [planned(technique.divide(problem, wishes.shares), strategy, how)]
    else:
        plans = _tried(problem, strategy.partition(":")[0], technique, planned)
    alone = _alone(problem, planned)
    return [replace(plan, reasons=reasons_of(problem, plan, alone)) for plan in plans]


def _tried(problem: Problem, name: str, technique: Strategy, planned: Planned) -> list[Plan]:
    """Plans on ever more units, of every variant, those that divide alike once."""
    variants = technique.variants() if isinstance(technique, Varied) else (technique,)
    found: dict[Division, Plan] = {}
    faults = [PlanError("no unit can run every op", had=", ".join(problem.units))]
    for shares in _started(problem):
        start = shares  # of the next variant: what was found to balance the one before
        for variant in variants:
            try:
                text = catalog.spelled(name, variant)
                for plan, tried in _balanced(problem, variant, text, start, planned):
                    found.setdefault(plan.division, plan)
                    start = tried
            except PlanError as fault:
                faults.append(fault)
    if not found:
        raise faults[-1]
    return list(found.values())


def _alone(problem: Problem, planned: Planned) -> Plan | None:
    """The whole network on the fastest unit; None if none can run it."""
    fast = speeds(problem)
    unit = problem.units[fast.index(max(fast))]
    if max(fast) == 0:
        return None
    group = Group(unit, tuple(op.name for op in problem.graph.ops), problem.engines_of(unit)[0])
    return planned(Division((Replica((group,)),)), "stage", "alone")


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
    problem: Problem, strategy: Strategy, text: str, shares: Sequence[float], planned: Planned
) -> Iterator[tuple[Plan, list[float]]]:
    """Plans with shares corrected by how busy each unit turned out to be, and the shares; those that can be made."""
    tried = list(shares)
    plan = planned(strategy.divide(problem, tried), text, _found(tried))
    yield plan, tried
    for _ in range(ROUNDS):
        busy_s = list(busy_of(plan, problem.units).values())
        used = [busy for busy, share in zip(busy_s, tried, strict=True) if share > 0]
        if len(used) < 2 or min(used) == 0 or max(used) <= min(used) * (1 + SAME):
            return
        better = [share * sum(used) / busy if share > 0 else 0.0 for share, busy in zip(tried, busy_s, strict=True)]
        try:
            plan = planned(strategy.divide(problem, better), text, _found(better))
        except PlanError:
            return  # a share has become too small for a row or channel
        tried = better
        yield plan, tried


def _found(shares: Sequence[float]) -> str:
    return "balanced " + ",".join(f"{share / sum(shares):.3f}" for share in shares)


def _check_pins(problem: Problem, strategy: str) -> None:
    if problem.pins:
        raise PlanError(
            f"pins hold ops on one device, and '{strategy}' divides them between several",
            hint="leave out --pin, or use --strategy stage",
        )
