"""Why a plan is as it is, in sentences: why each cut is there, and what one device alone would do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from shoal.plan.chain import Groups, Score, evaluate, feasible
from shoal.plan.chains import Line
from shoal.plan.problem import Problem
from shoal.plan.values import Group
from shoal.units import format_bytes, format_seconds


def reasons(problem: Problem, line: Line, groups: Sequence[Group]) -> tuple[str, ...]:
    """Sentences about `groups`; fewer if they are no consecutive division."""
    division = line.division(problem, groups)
    if division is None:
        return (f"{len(groups)} groups of ops that are not consecutive: cuts have no neighbours to compare with",)
    return (*_cuts(problem, line, division), *_alone(problem, line, division))


def _cuts(problem: Problem, line: Line, division: Groups) -> list[str]:
    here = evaluate(line.chain, division)
    found = []
    for place, (before, after) in enumerate(pairwise(division)):
        cut = line.cuts[after[0] - 1]
        seconds = line.chain.hop_s[after[0], before[2], after[2]]
        text = (
            f"cut after '{', '.join(cut.tensors)}': {format_bytes(cut.bytes)} from {problem.units[before[2]]} to "
            f"{problem.units[after[2]]} in {format_seconds(float(seconds))}"
        )
        moves = [_moved(line, division, place, step, here) for step in (-1, 1)]
        found.append("; ".join([text, *(move for move in moves if move)]))
    return found


def _moved(line: Line, division: Groups, place: int, step: int, here: Score) -> str:
    """What moving the cut after group `place` by one piece would change."""
    first, second = division[place], division[place + 1]
    border = second[0] + step
    if not first[0] < border < second[1]:
        return ""
    moved = (*division[:place], (first[0], border, first[2]), (border, *second[1:]), *division[place + 2 :])
    which = "one cut earlier" if step < 0 else "one cut later"
    if not feasible(line.chain, moved):
        return f"{which} does not fit"
    there = evaluate(line.chain, moved)
    return (
        f"{which} the period changes by {_percent(there.period_s, here.period_s)}, "
        f"the latency by {_percent(there.latency_s, here.latency_s)}"
    )


def _percent(there: float, here: float) -> str:
    return f"{(there / here - 1) * 100:+.1f} %"


def _alone(problem: Problem, line: Line, division: Groups) -> list[str]:
    """The best single device beside the plan, when the plan uses more than one."""
    if len(division) == 1:
        return [
            f"one device is enough: no division over the fleet is better than {problem.units[division[0][2]]} alone"
        ]
    singles = [((0, line.chain.pieces, unit),) for unit in range(line.chain.units)]
    fitting = [single for single in singles if feasible(line.chain, single)]
    if not fitting:
        return ["no device can hold the model alone"]
    best = min(fitting, key=lambda single: evaluate(line.chain, single).period_s)
    alone, here = evaluate(line.chain, best), evaluate(line.chain, division)
    name = problem.units[best[0][2]]
    text = (
        f"{name} alone: period {format_seconds(alone.period_s)} instead of {format_seconds(here.period_s)}, "
        f"latency {format_seconds(alone.latency_s)} instead of {format_seconds(here.latency_s)}"
    )
    beaten = alone.period_s <= here.period_s and alone.latency_s <= here.latency_s
    return [
        text
        + (". One device alone beats this plan in both: the fleet gains memory or energy only" if beaten else "")
    ]
