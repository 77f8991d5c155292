"""Whether a plan keeps its limits, and what to say when none does: which device lacks what, and what would fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from shoal.errors import LimitError, PlanError
from shoal.plan.chain import Chain, Groups, device_loads
from shoal.plan.chain_solve import solve
from shoal.plan.chains import line_of, without_limits
from shoal.plan.problem import Problem
from shoal.plan.values import Group, Objective, Plan
from shoal.units import format_bytes, format_joules, format_seconds

NEAR_EPSILON = 0.05  # the nearest plan that does not fit need not be exact
NEAR = (1.05, 1.2, 1.5)  # times each device's limit: where a plan may be found before limits are forgotten


def keeps(plan: Plan) -> bool:
    """Whether the plan, as predicted, keeps all its limits."""
    return _excess(plan) <= 1.0


def nearest_plan(plans: Sequence[Plan]) -> LimitError:
    """Plans exist, but none keeps the limits as predicted: what the nearest of them lacks."""
    best = min(plans, key=_excess)
    limits, figures = best.objective, best.prediction
    used = {device: float(needed) for device, needed in figures.memory_bytes.items()}
    have = {device: float(_limit_bytes(best, device)) for device in used}
    if any(used[device] > have[device] for device in used):
        return _too_small(limits, used, have)
    if limits.latency_limit_s is not None and figures.alone_latency_s > limits.latency_limit_s:
        return LimitError(
            "no plan is quick enough",
            where=best.label,
            needed=f"at most {format_seconds(limits.latency_limit_s)}",
            had=f"{format_seconds(figures.alone_latency_s)} at best",
            hint=f"raise the limit to {format_seconds(_up(figures.alone_latency_s))}, or add a faster device",
        )
    hungriest = max(figures.energy_j, key=lambda name: figures.energy_j[name])
    return LimitError(
        "no plan is frugal enough",
        where=hungriest,
        needed=f"at most {format_joules(limits.energy_limit_j or 0.0)} an item",
        had=f"{format_joules(figures.energy_j[hungriest])} at best",
        hint=f"raise the limit to {format_joules(_up(figures.energy_j[hungriest]))}",
    )


def no_division(problem: Problem) -> LimitError:
    """No division fits the memories: the one that comes nearest says which device lacks what."""
    chain = line_of(problem).chain
    divisions = _nearest(chain)
    if not divisions:
        pins = ", ".join(f"{op}={place}" for op, place in problem.pins.items())
        return LimitError(
            "no division into consecutive groups can run every op",
            had=f"pins {pins}" if pins else "ops that no engine of the fleet can run",
            hint="remove a pin, or let --planner anneal place ops that are not consecutive" if pins else None,
        )
    names = {
        int(d): problem.fleet.device(unit).name for d, unit in zip(chain.device_of, problem.units, strict=True)
    }
    have = {name: float(problem.limit_bytes(name)) for name in names.values()}
    loads = [
        {names[device]: load.memory_bytes for device, load in device_loads(chain, groups).items()}
        for groups in divisions
    ]
    nearest = min(loads, key=lambda used: max(used[name] - have[name] for name in used))
    if all(nearest[name] <= have[name] for name in nearest):
        return LimitError("this planner found no plan, though there is one", hint="--planner chain_dp")
    return _too_small(problem.objective, nearest, have)


def _nearest(chain: Chain) -> tuple[Groups, ...]:
    """Divisions that would fit if all devices had somewhat more memory, or any amount; none if it is not for memory."""
    grown = (replace(chain, memory_limit=chain.memory_limit * share) for share in NEAR)
    for each in (*grown, without_limits(chain)):
        found = solve(each, goals=("memory", "period"), epsilon=NEAR_EPSILON)
        if found.groups:
            return found.groups
    return ()


def cannot_run(problem: Problem, groups: Sequence[Group]) -> PlanError:
    """Someone else's placement puts an op where it cannot run: which, and why."""
    for group in groups:
        seconds = problem.op_seconds(group.unit, group.engine)
        for op in group.ops:
            if not math.isfinite(seconds[problem.graph.position[op]]):
                pinned = None if problem.allowed(op, group.unit) else f"pinned to '{problem.pins[op]}'"
                return PlanError(f"op '{op}' cannot run on '{group.unit}'", had=pinned or f"engine {group.engine}")
    raise ValueError("every op can run")


def _too_small(objective: Objective, used: Mapping[str, float], have: Mapping[str, float]) -> LimitError:
    """What the nearest plan lacks, the device that lacks most first."""
    lacking = sorted((have[name] - used[name], name) for name in used if used[name] > have[name])
    worst = lacking[0][1]
    if objective.memory_limit_bytes == have[worst]:
        change = f"--limit memory={math.ceil(max(used.values()) / (1 << 20))}MiB"
    else:
        each = ", ".join(f"{name} by {format_bytes(-lack)}" for lack, name in lacking)
        change = f"raise the memory limit of {each}"
    return LimitError(
        "no plan fits the memory",
        where=worst,
        needed=format_bytes(used[worst]),
        had=format_bytes(have[worst]),
        hint=f"{change}, or add a device",
    )


def _up(figure: float) -> float:
    """The next figure with three significant digits."""
    step = 10.0 ** (math.floor(math.log10(figure)) - 2)
    return math.ceil(figure / step) * step


def _excess(plan: Plan) -> float:
    """How far the plan is from its limits, as the largest ratio; at most 1 if it keeps them."""
    limits, figures = plan.objective, plan.prediction
    ratios = [needed / _limit_bytes(plan, device) for device, needed in figures.memory_bytes.items()]
    if limits.latency_limit_s is not None:
        ratios.append(figures.alone_latency_s / limits.latency_limit_s)
    if limits.energy_limit_j is not None:
        ratios.append(max(figures.energy_j.values()) / limits.energy_limit_j)
    return max(ratios)


def _limit_bytes(plan: Plan, device: str) -> int:
    limit = plan.fleet.device(device).memory_limit_bytes
    return min(limit, plan.objective.memory_limit_bytes or limit)
