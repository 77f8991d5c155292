"""Which engine runs which group: speed and memory compete, so both answers stay on the front.

Cuts are sought with one engine a unit, the quickest for the whole graph and, where that differs, the leanest
(`units_engines`). For the plans found, each group may then change to another engine (`with_engines`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from shoal.cost import weights_factor
from shoal.plan.placement import Assessor
from shoal.plan.problem import Candidates, Problem
from shoal.plan.values import Group
from shoal.search import front, representatives

MOST = 60  # placements whose groups are given other engines: a spread of the front


def distinct_engines(problem: Problem, unit: str) -> tuple[str, ...]:
    """The preferred engine of `unit` and those that are known to take another time.

    An engine with just the same seconds was never measured: a data sheet does not tell engines apart, so it gives
    no reason to leave the preferred one.
    """
    first, *others = problem.engines_of(unit)
    seconds = problem.costs.op_seconds(unit, first)
    return (first, *(each for each in others if not np.array_equal(problem.costs.op_seconds(unit, each), seconds)))


def units_engines(problem: Problem) -> tuple[tuple[str, ...], ...]:
    """Engines of all units: the quickest of each and, if that is another choice, the leanest."""
    quick = tuple(_quickest(problem, unit) for unit in problem.units)
    lean = tuple(_leanest(problem, unit) for unit in problem.units)
    return tuple(dict.fromkeys((quick, lean)))


def with_engines(problem: Problem, candidates: Candidates) -> Candidates:
    """`candidates` and what they become with other engines for some groups; the feasible front of all of them.

    Unchanged if no unit has a choice. Not exact otherwise: the cuts were made with one engine a unit in mind.
    """
    if all(len(distinct_engines(problem, unit)) == 1 for unit in problem.units) or not candidates.placements:
        return candidates
    assessor = Assessor(problem)
    spread = candidates.only(representatives(candidates.scores, MOST).tolist()).placements
    changed = [variant for groups in spread for variant in _variants(problem, assessor, groups)]
    placements = tuple(dict.fromkeys((*candidates.placements, *changed)))
    assessed = [assessor.assess(groups) for groups in placements]
    fitting = [index for index, found in enumerate(assessed) if found.excess == 0] or range(len(placements))
    scores = np.array([assessed[index].score for index in fitting])
    kept = front(scores)
    return Candidates(tuple(placements[fitting[index]] for index in kept), scores[kept], exact=False)


def _quickest(problem: Problem, unit: str) -> str:
    """The engine that runs the whole graph soonest; where none can run all of it, the one that can run most."""

    def rank(engine: str) -> tuple[int, float]:
        seconds = problem.costs.op_seconds(unit, engine)
        able = np.isfinite(seconds)
        return int((~able).sum()), float(seconds[able].sum())

    return min(distinct_engines(problem, unit), key=rank)


def _leanest(problem: Problem, unit: str) -> str:
    """The engine that keeps weights smallest among those that can run as much as the quickest."""

    def refused(engine: str) -> int:
        return int(np.isinf(problem.costs.op_seconds(unit, engine)).sum())

    engines = distinct_engines(problem, unit)
    fewest = min(refused(engine) for engine in engines)
    return min((engine for engine in engines if refused(engine) == fewest), key=weights_factor)


def _variants(problem: Problem, assessor: Assessor, groups: Sequence[Group]) -> Iterator[tuple[Group, ...]]:
    """All groups at their quickest; all at their leanest; lean wherever that does not set the period."""
    options = [
        [
            each
            for name in distinct_engines(problem, group.unit)
            if np.isfinite(assessor.group_s(each := replace(group, engine=name)))
        ]
        or [group]
        for group in groups
    ]
    quick = tuple(min(each, key=assessor.group_s) for each in options)
    lean = tuple(min(each, key=assessor.group_bytes) for each in options)
    period_s = max(assessor.group_s(group) for group in quick)
    yield quick
    yield lean
    yield tuple(b if assessor.group_s(b) <= period_s else a for a, b in zip(quick, lean, strict=True))
