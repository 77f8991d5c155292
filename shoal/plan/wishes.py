"""What the user asks of a search, held against the model and the fleet at the door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shoal import catalog
from shoal.engines import engine_name
from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.plan.problem import usable_engines
from shoal.plan.values import Objective
from shoal.program import Workload

STRATEGIES, ALL = "plan/strategies", "all"
LISTED = 20  # names beyond which a hint does not list them all


@dataclass(frozen=True)
class Wishes:
    """What the user asks of the search."""

    objective: Objective = field(default_factory=Objective)
    workload: Workload | None = None  # None: closed, `items` of them, with a window that keeps every unit busy
    strategy: str = "stage"  # with options; several joined by "+", or "all"
    planner: str = "auto"
    pins: Mapping[str, str] = field(default_factory=dict)  # op → device or unit
    exclude: tuple[str, ...] = ()  # devices or units
    shares: tuple[float, ...] = ()  # of the units in the fleet's order, instead of a search
    engines: tuple[str, ...] = ()  # allowed ones; empty: all
    items: int = 32


def goals_of(objective: Objective) -> None:
    """Refuse goals that do not exist.

    Raises:
        PlanError: there is no goal.
        InputError: no such goal, or no such option of it; the hint names the nearest.
    """
    if not objective.goals:
        known = ", ".join(catalog.names("plan/objectives"))
        raise PlanError("no goal to minimise", hint=f"known: {known}")
    for goal in objective.goals:
        catalog.make("plan/objectives", goal)


def strategies_of(wishes: Wishes) -> tuple[str, ...]:
    """The strategies to try, each with its options as written.

    Raises:
        InputError: no such strategy or option; the hint names the nearest.
    """
    if wishes.strategy == ALL:
        return catalog.names(STRATEGIES)
    found = tuple(dict.fromkeys(part.strip() for part in wishes.strategy.split("+")))
    for text in found:
        catalog.make(STRATEGIES, text)
    return found


def units_of(graph: Graph, fleet: Fleet, wishes: Wishes) -> tuple[str, ...]:
    """Units that are not excluded and have an engine that is ours and allowed.

    Raises:
        PlanError: an unknown device or engine, or no unit is left.
    """
    for name in wishes.engines:
        if engine_name(name) not in catalog.names("engines"):
            raise PlanError(f"no engine is called '{name}'", hint=_near(name, catalog.names("engines")))
    for name in wishes.exclude:
        _check_place(fleet, name, "to exclude")
    left = [name for name in fleet.unit_names if not {name, name.partition("/")[0]} & set(wishes.exclude)]
    units = tuple(name for name in left if usable_engines(graph, fleet, name, wishes.engines))
    if not units:
        excluded = f", {len(fleet.unit_names) - len(left)} of them excluded" if wishes.exclude else ""
        offered = sorted({engine for name in left for engine in fleet.unit(name).engines})
        raise PlanError(
            "no unit is left to run anything",
            needed=f"an engine among {', '.join(wishes.engines or catalog.names('engines'))}",
            had=f"{len(fleet.unit_names)} units{excluded}, offering {', '.join(offered) or 'none'}",
        )
    return units


def pins_of(graph: Graph, fleet: Fleet, units: tuple[str, ...], wishes: Wishes) -> Mapping[str, str]:
    """The pins, once it is sure that they can be kept.

    Raises:
        PlanError: an unknown op, device or unit, or one that is excluded.
    """
    for op, place in wishes.pins.items():
        if op not in graph.position:
            raise PlanError(
                f"no op '{op}' to pin", where=graph.name, hint=_near(op, graph.position, "shoal inspect")
            )
        _check_place(fleet, place, f"to pin '{op}' to")
        if not any(place in (unit, unit.partition("/")[0]) for unit in units):
            raise PlanError(f"op '{op}' is pinned to '{place}', which may not be used", had=", ".join(units))
    return wishes.pins


def _check_place(fleet: Fleet, name: str, purpose: str) -> None:
    known = (*(device.name for device in fleet.devices), *fleet.unit_names)
    if name not in known:
        what = "unit" if "/" in name else "device"
        raise PlanError(f"no {what} '{name}' {purpose}", where=fleet.source or None, hint=_near(name, known))


def _near(word: str, known: Iterable[str], lister: str = "") -> str:
    """The nearest of the known words; all of them where they are few, else the verb that lists them."""
    names = list(known)
    hint = catalog.nearest(word, names)
    return f"`{lister}` lists them" if hint.startswith("known:") and len(names) > LISTED and lister else hint
