"""Why a plan that divides single ops is as it is: who does how much, what crosses, what one unit alone would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shoal.graph import divide
from shoal.plan.limits import keeps
from shoal.plan.problem import Problem
from shoal.plan.values import Plan
from shoal.units import format_bytes, format_seconds


def reasons_of(problem: Problem, plan: Plan, alone: Plan | None) -> tuple[str, ...]:
    """Sentences about the plan, beside the best unit `alone`."""
    busy_s = {unit: busy for unit, busy in busy_of(plan, problem.units).items() if busy > 0}
    if len(busy_s) == 1:
        return (f"{next(iter(busy_s))} alone, undivided",)
    work = ", ".join(f"{unit} for {format_seconds(busy)}" for unit, busy in busy_s.items())
    sent = format_bytes(sum(plan.prediction.sent_bytes.values()))
    found = [f"{plan.recipe.strategy}: an item occupies {work}; {sent} are sent for it, answers counted"]
    again = divide(problem.graph, plan.splits).graph.macs / max(1, problem.graph.macs) - 1
    if again > 0:
        found.append(f"{again:.1%} of the work is done twice, where strips overlap, instead of sent")
    if alone is None or not keeps(alone):
        return (*found, "no unit can run the whole model alone")
    one, here = alone.prediction, plan.prediction
    found.append(
        f"{alone.units[0]} alone: period {format_seconds(one.period_s)} instead of {format_seconds(here.period_s)}, "
        f"latency {format_seconds(one.alone_latency_s)} instead of {format_seconds(here.alone_latency_s)}"
    )
    return tuple(found)


def busy_of(plan: Plan, units: Sequence[str]) -> Mapping[str, float]:
    """Seconds that each unit computes for an item, on average: a replica gets only its share of them."""
    found = dict.fromkeys(units, 0.0)
    shares = {group.unit: replica.share for replica in plan.replicas for group in replica.groups}
    for segment, unit in plan.segment_units.items():
        found[unit] += plan.estimates[segment].seconds * shares[unit]
    return found
