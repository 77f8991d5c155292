"""From a graph, a fleet and what matters to a front of plans with one chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, islice

import numpy as np
from numpy.typing import NDArray

import shoal
from shoal import catalog
from shoal.cost import Costs
from shoal.errors import LimitError, PlanError
from shoal.fleet import Fleet
from shoal.graph import Graph, divide
from shoal.plan.chains import line_of
from shoal.plan.choices import with_engines
from shoal.plan.divisions import by_strategy
from shoal.plan.explain import Explainer
from shoal.plan.limits import cannot_run, keeps, nearest_plan, no_division
from shoal.plan.lower import program_of
from shoal.plan.placement import Assessor
from shoal.plan.predict import forecast
from shoal.plan.problem import Candidates, Problem
from shoal.plan.values import GOALS, Division, Front, ModelRef, Objective, Plan, Recipe, Replica
from shoal.plan.wishes import Wishes, goals_of, pins_of, strategies_of, units_of
from shoal.program import Workload
from shoal.search import front, knee, representatives

WHOLE_LAYERS = "stage"  # the strategy that planners search for; others divide single ops
SHOWN = 15  # plans of a front that a person is shown
RESCORED = 200  # plans of a front that are scored again where media are shared
NARROWED = 64  # sets of fewer devices that are tried for a goal that planners do not know
SAME = 0.02  # relative difference that is not worth another device


def search(graph: Graph, model: ModelRef, fleet: Fleet, costs: Costs, wishes: Wishes) -> Front:
    """The plans worth having and the one that serves the objective best.

    Raises:
        PlanError: wishes that contradict the model or the fleet.
        LimitError: no plan keeps the limits; says what is lacking and what would fit.
    """
    goals_of(wishes.objective)
    units = units_of(graph, fleet, wishes)
    workload = wishes.workload or Workload(items=wishes.items, window=max(4, len(units) + 2))
    pins = pins_of(graph, fleet, units, wishes)
    problem = Problem(
        graph, fleet, wishes.objective, costs, workload.window, units, pins, wishes.engines, workload.pattern
    )
    maker = _Maker(problem, model, workload, wishes.objective, wishes.exclude)
    found = _widely(maker, wishes)
    kept = _undominated([plan for plan in found.plans if keeps(plan)], wishes.objective.goals)
    if not kept:
        raise nearest_plan(found.plans)
    shown = _thinned(kept)
    return Front(tuple(shown), choose(shown), found.exact, (*_counted(found, len(shown)), *found.notes))


@dataclass(frozen=True)
class _Found:
    """Plans of one strategy or of several."""

    plans: tuple[Plan, ...]
    total: int  # out of which these were picked
    sought: bool = False  # a planner found them: they are on a front
    exact: bool = False  # nothing better exists under the cost model
    notes: tuple[str, ...] = ()


def _widely(maker: _Maker, wishes: Wishes) -> _Found:
    """What the wished strategies find; for a goal of which planners know nothing, over fewer devices too.

    A plan that is worse in all four of their figures than one with other devices is none that they would show. It can
    still be the best in, say, carbon.
    """
    found = _several(maker, wishes)
    if wishes.shares or all(goal in _COLUMNS for goal in wishes.objective.goals):
        return found
    narrower = replace(wishes, planner="chain_dp")
    for units in _fewer(maker.problem.units):
        try:
            alone = _several(replace(maker, problem=replace(maker.problem, units=units)), narrower)
        except (PlanError, LimitError):  # these devices cannot do it alone
            continue
        plans = tuple(_narrowed(plan, units) for plan in alone.plans)
        found = replace(found, plans=found.plans + plans, total=found.total + alone.total, exact=False)
    return found


def _narrowed(plan: Plan, units: tuple[str, ...]) -> Plan:
    """`plan` with the reason that only some devices were asked, in place of one that says there are no others."""
    devices = ", ".join(dict.fromkeys(unit.partition("/")[0] for unit in units))
    reason = f"the best of what {devices} can do without the others; each device that is used counts"
    return replace(plan, reasons=(reason, *(plan.reasons if len(units) > 1 else ())))


def _fewer(units: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The units of each smaller set of devices, single devices first; not of all sets if they are very many."""
    devices = tuple(dict.fromkeys(unit.partition("/")[0] for unit in units))
    sets = chain.from_iterable(combinations(devices, count) for count in range(1, len(devices)))
    return [tuple(unit for unit in units if unit.partition("/")[0] in each) for each in islice(sets, NARROWED)]


def _several(maker: _Maker, wishes: Wishes) -> _Found:
    """What the wished strategies find; of several, those that cannot divide the model are left out and named."""
    strategies = strategies_of(wishes)
    if len(strategies) == 1:
        return _of(maker, wishes, strategies[0])
    found, faults, notes = [], [], []
    for strategy in strategies:
        try:
            found.append(_of(maker, wishes, strategy))
        except (PlanError, LimitError) as fault:
            faults.append(fault)
            notes.append(f"without {strategy}: {fault.what}")
    if not found:
        raise faults[0]
    plans = tuple(plan for each in found for plan in each.plans)
    return _Found(plans, sum(each.total for each in found), notes=tuple(notes))


def _of(maker: _Maker, wishes: Wishes, strategy: str) -> _Found:
    """What one strategy finds."""
    if strategy.partition(":")[0] == WHOLE_LAYERS:
        return _placed(maker, wishes, strategy)
    plans = by_strategy(maker.problem, wishes, strategy, maker.plan)
    return _Found(tuple(plans), len(plans))


def _placed(maker: _Maker, wishes: Wishes, strategy: str) -> _Found:
    """Plans whose groups a planner found."""
    sought = _sought(maker.problem, wishes, strategy)
    problem = maker.problem.divided(sought.splits)
    candidates = _contended(problem, with_engines(problem, sought))
    if not candidates.placements:
        raise no_division(problem)
    shown = _shown(candidates, problem)
    explainer = Explainer(problem, line_of(problem), candidates.scores)
    shares = ",".join(f"{share:g}" for share in wishes.shares)
    how = f"shares {shares}" if shares else wishes.planner
    plans = [
        replace(
            maker.plan(Division((Replica(tuple(groups)),), sought.splits), strategy, how),
            reasons=explainer.reasons(groups),
        )
        for groups in shown.placements
    ]
    return _Found(tuple(plans), len(candidates.placements), sought=True, exact=candidates.exact)


def _sought(problem: Problem, wishes: Wishes, strategy: str) -> Candidates:
    if wishes.shares:
        division = catalog.make("plan/strategies", strategy).divide(problem, wishes.shares)
        groups = division.replicas[0].groups
        return Candidates((groups,), Assessor(problem).scores([groups]), exact=False)
    found: Candidates = catalog.make("plan/planners", wishes.planner).search(problem)
    return found


def _contended(problem: Problem, candidates: Candidates) -> Candidates:
    """Scores that count how long a shared medium is taken by all its hops, which a chain does not know of.

    Looks at a spread of the front; no longer exact. Unchanged without shared media.
    """
    links = (*problem.fleet.links, problem.fleet.default_link)
    if not any(link is not None and link.shared for link in links) or not candidates.placements:
        return candidates
    spread = candidates.only(representatives(candidates.scores, RESCORED).tolist())
    scores = Assessor(problem).scores(spread.placements)
    return Candidates(spread.placements, scores, exact=False).only(front(scores).tolist())


def _shown(candidates: Candidates, problem: Problem) -> Candidates:
    """The favourite, then bests, knee and a spread, of the candidates within the limits (or of all, if none is)."""
    objective, scores = problem.objective, candidates.scores
    latency_s = np.inf if objective.latency_limit_s is None else objective.latency_limit_s
    energy_j = np.inf if objective.energy_limit_j is None else objective.energy_limit_j
    within = np.flatnonzero((scores[:, 0] <= latency_s) & (scores[:, 2] <= energy_j))
    left = candidates.only(within.tolist()) if len(within) else candidates
    if not np.isfinite(left.scores).all():
        raise cannot_run(problem, left.placements[0])
    spread = representatives(left.scores, SHOWN).tolist()
    return left.only(list(dict.fromkeys((_favourite(left, objective), *spread)))[:SHOWN])


def _favourite(candidates: Candidates, objective: Objective) -> int:
    """The candidate that would be chosen if the planner's own scores were the last word."""
    columns = [_COLUMNS[goal] for goal in objective.goals if goal in _COLUMNS]
    counts = np.array([len({group.unit for group in groups}) for groups in candidates.placements])
    return _pick(candidates.scores[:, columns or [0]], counts, candidates.scores[:, 0])


_COLUMNS = {"latency": 0, "throughput": 1, "energy": 2, "memory": 3}  # objective → column of the scores


def _pick(values: NDArray[np.float64], units: NDArray[np.intp], latency_s: NDArray[np.float64]) -> int:
    """The best in the only goal, or the knee of several; of those as good as that, the one with fewest units."""
    best = int(np.argmin(values[:, 0])) if values.shape[1] == 1 else knee(values)
    as_good = np.flatnonzero((values <= values[best] * (1 + SAME)).all(axis=1)).tolist()
    return int(min(as_good, key=lambda index: (units[index], latency_s[index])))


@dataclass(frozen=True)
class _Maker:
    """Makes Plans of one problem out of divisions."""

    problem: Problem
    model: ModelRef
    workload: Workload
    objective: Objective
    exclude: tuple[str, ...]

    def plan(self, division: Division, strategy: str, how: str) -> Plan:
        """The Plan, with what its Program does in the simulator as its prediction; `how` its shares were found."""
        problem = self.problem
        graph = divide(problem.graph, division.splits).graph
        costs = problem.costs.of(graph) if division.splits else problem.costs
        program = program_of(graph, division.replicas, problem.window, self.model.name)
        found = forecast(program, problem.fleet, costs, self.workload)
        return Plan(
            model=self.model,
            fleet=problem.fleet,
            objective=self.objective,
            workload=self.workload,
            replicas=division.replicas,
            window=problem.window,
            prediction=found.prediction,
            estimates=found.estimates,
            segment_units={segment.name: segment.unit for segment in program.segments},
            recipe=Recipe(strategy, how, shoal.__version__, self.exclude),
            splits=division.splits,
        )


def _undominated(plans: Sequence[Plan], goals: Sequence[str]) -> list[Plan]:
    """Plans that no other beats as predicted (queues may change their order), by the first of the `goals`.

    Compared as a person reads them, to three digits: of plans that look the same one is enough.
    """
    known = [catalog.make("plan/objectives", goal) for goal in dict.fromkeys((*GOALS, *goals))]
    values = [[float(f"{goal.predicted(plan.prediction):.3g}") for goal in known] for plan in plans]
    kept = [plans[index] for index in front(np.array(values).reshape(-1, len(known)))]
    goal = catalog.make("plan/objectives", goals[0])
    return sorted(kept, key=lambda plan: (goal.predicted(plan.prediction), plan.prediction.alone_latency_s))


def choose(plans: Sequence[Plan]) -> int:
    """Index of the plan that serves the objective best; of plans as good as that, the one with fewest units."""
    goals = [catalog.make("plan/objectives", goal) for goal in plans[0].objective.goals]
    values = np.array([[goal.predicted(plan.prediction) for goal in goals] for plan in plans])
    units = np.array([len(plan.units) for plan in plans])
    return _pick(values, units, np.array([plan.prediction.alone_latency_s for plan in plans]))


def _thinned(plans: Sequence[Plan]) -> list[Plan]:
    """As many as a person is shown, the one that would be chosen among them."""
    if len(plans) <= SHOWN:
        return list(plans)
    values = [
        [catalog.make("plan/objectives", goal).predicted(plan.prediction) for goal in GOALS] for plan in plans
    ]
    spread = {choose(plans), *representatives(np.array(values), SHOWN - 1).tolist()}
    return [plans[index] for index in sorted(spread)]


def _counted(found: _Found, shown: int) -> tuple[str, ...]:
    if found.total == 1:
        return ()
    if not found.sought:
        return (f"{found.total} plans compared, {shown} shown",)
    return (f"{found.total} plans on the front ({'exact' if found.exact else 'not exact'}), {shown} shown",)
