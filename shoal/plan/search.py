"""From a graph, a fleet and what matters to a front of plans with one chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

import shoal
from shoal import catalog
from shoal.cost import Costs
from shoal.errors import LimitError, PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.plan.chain import device_loads
from shoal.plan.chain_solve import solve
from shoal.plan.chains import Line, line_of, without_limits
from shoal.plan.explain import reasons
from shoal.plan.lower import program_of
from shoal.plan.predict import Forecast, forecast
from shoal.plan.problem import Candidates, Problem
from shoal.plan.values import GOALS, Front, Group, ModelRef, Objective, Plan, Recipe, Replica
from shoal.program import Workload
from shoal.search import knee, representatives
from shoal.units import format_bytes

SHOWN = 15  # plans of a front that a person is shown
SAME = 0.02  # relative difference that is not worth another device


@dataclass(frozen=True)
class Wishes:
    """What the user asks of the search."""

    objective: Objective = field(default_factory=Objective)
    workload: Workload | None = None  # None: closed, with a window that keeps every unit busy
    strategy: str = "stage"
    planner: str = "chain_dp"
    pins: Mapping[str, str] = field(default_factory=dict)  # op → device or unit
    exclude: tuple[str, ...] = ()  # devices
    shares: tuple[float, ...] = ()  # of the units in the fleet's order, instead of a search
    engines: tuple[str, ...] = ()  # allowed ones; empty: all


def search(graph: Graph, model: ModelRef, fleet: Fleet, costs: Costs, wishes: Wishes) -> Front:
    """The plans worth having and the one that serves the objective best.

    Raises:
        PlanError: wishes that contradict the model or the fleet.
        LimitError: no plan keeps the limits; says what is lacking and what would fit.
    """
    units = _units(fleet, wishes)
    workload = wishes.workload or Workload(items=32, window=max(4, len(units) + 2))
    problem = Problem(
        graph, fleet, wishes.objective, costs, workload.window, units, _pins(graph, fleet, wishes), wishes.engines
    )
    line = line_of(problem)
    candidates = _candidates(problem, wishes)
    if not candidates.placements:
        raise _nothing_fits(problem, line)
    shown = candidates.only(list(representatives(candidates.scores, SHOWN)))
    plans = [_plan(problem, line, groups, model, workload, wishes) for groups in shown.placements]
    kept = [plan for plan in plans if keeps(plan)]
    if not kept:
        raise _closest(plans, wishes.objective)
    return Front(tuple(kept), choose(kept, wishes.objective), candidates.exact, _notes(candidates, len(kept)))


def _units(fleet: Fleet, wishes: Wishes) -> tuple[str, ...]:
    """Units that have an engine of ours and are not excluded."""
    for name in wishes.exclude:
        fleet.device(name)
    ours = set(catalog.names("engines"))
    units = tuple(
        name
        for name in fleet.unit_names
        if ours & set(fleet.unit(name).engines) and not {name, name.partition("/")[0]} & set(wishes.exclude)
    )
    if not units:
        raise PlanError("no unit is left to run anything", had=f"{len(fleet.devices)} devices, all excluded")
    return units


def _pins(graph: Graph, fleet: Fleet, wishes: Wishes) -> Mapping[str, str]:
    for op, device in wishes.pins.items():
        if op not in graph.position:
            raise PlanError(f"no op '{op}' to pin", hint=catalog.nearest(op, list(graph.position)[:400]))
        fleet.device(device)
    return wishes.pins


def _candidates(problem: Problem, wishes: Wishes) -> Candidates:
    if wishes.shares:
        strategy = catalog.make("plan/strategies", wishes.strategy)
        return Candidates((strategy.divide(problem, wishes.shares),), np.zeros((1, len(GOALS))), exact=False)
    found: Candidates = catalog.make("plan/planners", wishes.planner).search(problem)
    return found


def _plan(
    problem: Problem, line: Line, groups: Sequence[Group], model: ModelRef, workload: Workload, wishes: Wishes
) -> Plan:
    replica = Replica(tuple(groups))
    program = program_of(problem.graph, (replica,), problem.window, model.name)
    found: Forecast = forecast(program, problem.fleet, problem.costs, workload)
    return Plan(
        model=model,
        fleet=problem.fleet,
        objective=wishes.objective,
        workload=workload,
        replicas=(replica,),
        window=problem.window,
        prediction=found.prediction,
        estimates=found.estimates,
        segment_units={segment.name: segment.unit for segment in program.segments},
        recipe=Recipe(wishes.strategy, wishes.planner, shoal.__version__),
        reasons=reasons(problem, line, groups),
    )


def keeps(plan: Plan) -> bool:
    """Whether the plan, as predicted, keeps all its limits."""
    limits, prediction = plan.objective, plan.prediction
    fits = all(needed <= _limit_bytes(plan, device) for device, needed in prediction.memory_bytes.items())
    quick = limits.latency_limit_s is None or prediction.alone_latency_s <= limits.latency_limit_s
    frugal = limits.energy_limit_j is None or max(prediction.energy_j.values()) <= limits.energy_limit_j
    return fits and quick and frugal


def _limit_bytes(plan: Plan, device: str) -> int:
    limit = plan.fleet.device(device).memory_limit_bytes
    return min(limit, plan.objective.memory_limit_bytes or limit)


def choose(plans: Sequence[Plan], objective: Objective) -> int:
    """The best in the only goal, or the knee of several; of plans as good as that, the one with fewest units."""
    goals = [catalog.make("plan/objectives", goal) for goal in objective.goals]
    values = np.array([[goal.predicted(plan.prediction) for goal in goals] for plan in plans])
    best = int(np.argmin(values[:, 0])) if len(goals) == 1 else int(knee(values))
    as_good = np.flatnonzero((values <= values[best] * (1 + SAME)).all(axis=1)).tolist()
    return int(min(as_good, key=lambda index: (len(plans[index].units), plans[index].prediction.alone_latency_s)))


def _notes(candidates: Candidates, shown: int) -> tuple[str, ...]:
    kind = "exact" if candidates.exact else "not exact"
    return (f"{len(candidates.placements)} plans on the front ({kind}), {shown} shown",)


def _closest(plans: Sequence[Plan], objective: Objective) -> LimitError:
    """Plans exist, but none keeps the limits as predicted: name the nearest."""
    best = min(plans, key=lambda plan: _excess(plan, objective))
    figures = best.prediction
    for device, needed in figures.memory_bytes.items():
        have = _limit_bytes(best, device)
        if needed > have:
            return _too_small(device, needed, have)
    if objective.latency_limit_s is not None and figures.alone_latency_s > objective.latency_limit_s:
        return LimitError(
            "no plan is quick enough",
            needed=f"at most {objective.latency_limit_s:g} s",
            had=f"{figures.alone_latency_s:g} s",
            hint=f"raise the limit to {figures.alone_latency_s:.3g} s, or add a faster device",
        )
    hungriest = max(figures.energy_j, key=lambda name: figures.energy_j[name])
    return LimitError(
        "no plan is frugal enough",
        where=hungriest,
        needed=f"at most {objective.energy_limit_j:g} J an item",
        had=f"{figures.energy_j[hungriest]:g} J",
        hint=f"raise the limit to {figures.energy_j[hungriest]:.3g} J",
    )


def _excess(plan: Plan, objective: Objective) -> float:
    """How far the plan is beyond its limits, as the largest ratio."""
    ratios = [needed / _limit_bytes(plan, device) for device, needed in plan.prediction.memory_bytes.items()]
    if objective.latency_limit_s is not None:
        ratios.append(plan.prediction.alone_latency_s / objective.latency_limit_s)
    if objective.energy_limit_j is not None:
        ratios.append(max(plan.prediction.energy_j.values()) / objective.energy_limit_j)
    return max(ratios)


def _nothing_fits(problem: Problem, line: Line) -> LimitError:
    """No division fits the memories: the one that comes nearest says which device lacks what."""
    free = solve(without_limits(line.chain), goals=("memory", "period"), epsilon=0.05)
    if not free.groups:
        op = next((op for op in problem.pins), "an op")
        return LimitError(f"no unit can run every op with the pins given ('{op}', …)", hint="remove a pin")
    names = list(dict.fromkeys(problem.fleet.device(unit).name for unit in problem.units))
    limits = {int(d): float(limit) for d, limit in zip(line.chain.device_of, line.chain.memory_limit, strict=True)}

    def lacking(index: int) -> tuple[float, int, float]:
        loads = device_loads(line.chain, free.groups[index])
        return max(
            (load.memory_bytes - limits[device], device, load.memory_bytes) for device, load in loads.items()
        )

    _, device, needed = min(lacking(index) for index in range(len(free.groups)))
    return _too_small(names[device], round(needed), round(limits[device]))


def _too_small(device: str, needed: int, have: int) -> LimitError:
    return LimitError(
        "no plan fits the memory",
        where=device,
        needed=format_bytes(needed),
        had=format_bytes(have),
        hint=f"raise the limit of {device} by {format_bytes(needed - have)}, or add a device",
    )


def with_workload(plan: Plan, workload: Workload) -> Plan:
    """The same placement under another workload; its prediction still speaks of the old one."""
    return replace(plan, workload=workload, window=max(plan.window, workload.window))
