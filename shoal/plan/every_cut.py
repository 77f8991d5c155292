"""Every legal cut of a network between two units, each as a plan of its own, with its twin by formula."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import shoal
from shoal.cost import Costs, hops_between
from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.graph import Cut, Graph, cuts
from shoal.plan.choices import units_engines
from shoal.plan.limits import keeps
from shoal.plan.lower import program_of
from shoal.plan.predict import forecast
from shoal.plan.problem import Problem
from shoal.plan.values import Group, ModelRef, Objective, Plan, Recipe, Replica
from shoal.plan.wishes import Wishes, units_of
from shoal.program import Workload
from shoal.record import Twin

LEAST_WINDOW = 4
MOST_WINDOW = 64  # a link so long that more would be needed is not filled
ITEMS = 32


@dataclass(frozen=True)
class CutPlan:
    """One cut: its number among the legal ones, and the plan that puts it between two units."""

    number: int
    cut: Cut
    after: str  # the op before the cut
    plan: Plan
    twin: Twin

    @property
    def fits(self) -> bool:
        """Whether the devices' memory holds it."""
        return keeps(self.plan)


def pair_of(
    graph: Graph, fleet: Fleet, devices: Sequence[str] = (), engines: Sequence[str] = ()
) -> tuple[str, str]:
    """The two units in the order of `devices` (names of devices or units); the fleet's own two if none are named.

    Raises:
        PlanError: not two, or one that is not there or has no engine of ours.
    """
    usable = units_of(graph, fleet, Wishes(engines=tuple(engines)))
    names = tuple(devices) or usable
    if len(names) != 2 or len(set(names)) != 2:
        raise PlanError(
            "a network is cut between two units",
            where=fleet.source or None,
            needed="two different ones",
            had=", ".join(names),
            hint=f"--devices with two of {', '.join(usable)}" if len(usable) > 1 else "add a device to the fleet",
        )
    first, second = (_unit(fleet, name, usable) for name in names)
    if first == second:
        raise PlanError("a network is cut between two units", had=f"{first} twice")
    return first, second


def every_cut(
    graph: Graph,
    model: ModelRef,
    fleet: Fleet,
    costs: Costs,
    units: tuple[str, str],
    *,
    numbers: Iterable[int] = (),
    multi: bool = False,
    window: int = 0,
    engines: Sequence[str] = (),
) -> tuple[CutPlan, ...]:
    """A plan for each legal cut, the part before it on the first of `units`, the rest on the second.

    Args:
        graph: in topological order.
        model: where its file is.
        fleet: with both units and a link between them.
        costs: of `graph` on `fleet`.
        units: "device/unit" twice.
        numbers: of the cuts that are wanted, from 0; none: all.
        multi: cuts that several tensors cross count as legal, too.
        window: items in flight; 0: at least four, and as many as keep both units or the link busy.
        engines: allowed ones; none: all.

    Raises:
        PlanError: the network has no legal cut, or none of such a number; a unit cannot run its part.
        FleetError: no link joins the two.
    """
    legal = cuts(graph, multi=multi)
    if not legal:
        hint = None if multi else "allow cuts that several tensors cross: --multi"
        raise PlanError("the network has no legal cut", where=graph.name, had=f"{len(graph.ops)} ops", hint=hint)
    wanted = tuple(dict.fromkeys(numbers)) or tuple(range(len(legal)))
    if wrong := [number for number in wanted if not 0 <= number < len(legal)]:
        raise PlanError(
            f"no cut has the number {wrong[0]}", where=graph.name, needed=f"0 to {len(legal) - 1}", had=f"{wrong[0]}",
            hint="they are numbered as `shoal inspect` lists them",
        )  # fmt: skip
    problem = Problem(
        graph, fleet, Objective(("latency", "throughput")), costs, LEAST_WINDOW, units, {}, tuple(engines)
    )
    return tuple(_planned(problem, model, number, legal[number], window) for number in sorted(wanted))


def spread(count: int, most: int) -> tuple[int, ...]:
    """At most `most` of the numbers below `count`, evenly spread, first and last among them."""
    if most >= count:
        return tuple(range(count))
    return tuple(sorted({round(index * (count - 1) / max(1, most - 1)) for index in range(most)}))


def _planned(problem: Problem, model: ModelRef, number: int, cut: Cut, window: int) -> CutPlan:
    groups = tuple(_groups(problem, cut))
    tried = _plan(problem, model, groups, LEAST_WINDOW)
    twin = _twin(problem, tried, cut)
    window = window or min(max(LEAST_WINDOW, twin.window), MOST_WINDOW)
    plan = tried if window == LEAST_WINDOW else _plan(problem, model, groups, window)
    return CutPlan(number, cut, problem.graph.ops[cut.after].name, plan, twin)


def _groups(problem: Problem, cut: Cut) -> Iterator[Group]:
    names = [op.name for op in problem.graph.ops]
    parts = (names[: cut.after + 1], names[cut.after + 1 :])
    for unit, engine, part in zip(problem.units, units_engines(problem)[0], parts, strict=True):
        yield Group(unit, tuple(part), engine)


def _plan(problem: Problem, model: ModelRef, groups: tuple[Group, ...], window: int) -> Plan:
    workload = Workload(items=max(ITEMS, 3 * window), window=window)
    program = program_of(problem.graph, (Replica(groups),), window, model.name)
    found = forecast(program, problem.fleet, problem.costs, workload)
    return Plan(
        model=model,
        fleet=problem.fleet,
        objective=problem.objective,
        workload=workload,
        replicas=(Replica(groups),),
        window=window,
        prediction=found.prediction,
        estimates=found.estimates,
        segment_units={segment.name: segment.unit for segment in program.segments},
        recipe=Recipe("stage", "every_cut", shoal.__version__),
    )


def _twin(problem: Problem, plan: Plan, cut: Cut) -> Twin:
    seconds = dict.fromkeys(problem.units, 0.0)
    for name, unit in plan.segment_units.items():
        seconds[unit] += plan.estimates[name].seconds
    hops = hops_between(problem.fleet, *(unit.partition("/")[0] for unit in problem.units))
    first_s, second_s = seconds.values()
    busy_s = max((cut.bytes / hop.bytes_per_s for hop in hops), default=0.0)
    return Twin(first_s, second_s, busy_s, sum(hop.latency_s for hop in hops))


def _unit(fleet: Fleet, name: str, usable: Sequence[str]) -> str:
    """The unit called `name`, or the first usable one of that device."""
    for unit in usable:
        if name in (unit, unit.partition("/")[0]):
            return unit
    fleet.device(name)
    raise PlanError(f"'{name}' cannot run a part", needed="a unit with an engine of ours", had=", ".join(usable))
