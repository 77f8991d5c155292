"""From a graph, a fleet and what matters to a front of plans with one chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import shoal
from shoal import catalog
from shoal.cost import Costs
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
from shoal.plan.wishes import Wishes, goals_of, pins_of, units_of
from shoal.program import Workload
from shoal.search import front, knee, representatives

WHOLE_LAYERS = "stage"  # the strategy that planners search for; others divide single ops
SHOWN = 15  # plans of a front that a person is shown
RESCORED = 200  # plans of a front that are scored again where media are shared
SAME = 0.02  # relative difference that is not worth another device


def search(graph: Graph, model: ModelRef, fleet: Fleet, costs: Costs, wishes: Wishes) -> Front:
    """The plans worth having and the one that serves the objective best.

    Raises:
        PlanError: wishes that contradict the model or the fleet.
        LimitError: no plan keeps the limits; says what is lacking and what would fit.
    """
    goals_of(wishes.objective)
    units = units_of(fleet, wishes)
    workload = wishes.workload or Workload(items=wishes.items, window=max(4, len(units) + 2))
    pins = pins_of(graph, fleet, units, wishes)
    problem = Problem(
        graph, fleet, wishes.objective, costs, workload.window, units, pins, wishes.engines, workload.pattern
    )
    maker = _Maker(problem, model, workload, wishes)
    if wishes.strategy.partition(":")[0] == WHOLE_LAYERS:
        plans, found, exact = _placed(maker, wishes)
    else:
        plans = by_strategy(problem, wishes, maker.plan)
        found, exact = len(plans), False
    kept = _undominated([plan for plan in plans if keeps(plan)], wishes.objective.goals[0])
    if not kept:
        raise nearest_plan(plans)
    return Front(tuple(kept), choose(kept), exact, _notes(found, exact, len(kept)))


def _placed(maker: _Maker, wishes: Wishes) -> tuple[list[Plan], int, bool]:
    """Plans that leave every op whole, out of how many that were found, and whether that front is exact."""
    candidates = _candidates(maker.problem, wishes)
    if not candidates.placements:
        raise no_division(maker.problem)
    shown = _shown(candidates, maker.problem)
    explainer = Explainer(maker.problem, line_of(maker.problem), candidates.scores)
    plans = [
        maker.plan(Division((Replica(tuple(groups)),)), explainer.reasons(groups)) for groups in shown.placements
    ]
    return plans, len(candidates.placements), candidates.exact


def _candidates(problem: Problem, wishes: Wishes) -> Candidates:
    if wishes.shares:
        division = catalog.make("plan/strategies", wishes.strategy).divide(problem, wishes.shares)
        groups = division.replicas[0].groups
        found = Candidates((groups,), Assessor(problem).scores([groups]), exact=False)
    else:
        found = catalog.make("plan/planners", wishes.planner).search(problem)
    return _contended(problem, with_engines(problem, found))


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
    wishes: Wishes

    def plan(self, division: Division, reasons: tuple[str, ...] = ()) -> Plan:
        """The Plan, with what its Program does in the simulator as its prediction."""
        problem, wishes = self.problem, self.wishes
        graph = divide(problem.graph, division.splits).graph
        costs = problem.costs.of(graph) if division.splits else problem.costs
        program = program_of(graph, division.replicas, problem.window, self.model.name)
        found = forecast(program, problem.fleet, costs, self.workload)
        shares = ",".join(f"{share:g}" for share in wishes.shares)
        return Plan(
            model=self.model,
            fleet=problem.fleet,
            objective=wishes.objective,
            workload=self.workload,
            replicas=division.replicas,
            window=problem.window,
            prediction=found.prediction,
            estimates=found.estimates,
            segment_units={segment.name: segment.unit for segment in program.segments},
            recipe=Recipe(wishes.strategy, f"shares {shares}" if shares else wishes.planner, shoal.__version__),
            splits=division.splits,
            reasons=reasons,
        )


def _undominated(plans: Sequence[Plan], first: str) -> list[Plan]:
    """Plans that no other beats as predicted (queues may change their order), by the goal `first`.

    Compared as a person reads them, to three digits: of plans that look the same one is enough.
    """
    values = [
        [float(f"{catalog.make('plan/objectives', goal).predicted(plan.prediction):.3g}") for goal in GOALS]
        for plan in plans
    ]
    kept = [plans[index] for index in front(np.array(values).reshape(-1, len(GOALS)))]
    goal = catalog.make("plan/objectives", first)
    return sorted(kept, key=lambda plan: (goal.predicted(plan.prediction), plan.prediction.alone_latency_s))


def choose(plans: Sequence[Plan]) -> int:
    """Index of the plan that serves the objective best; of plans as good as that, the one with fewest units."""
    goals = [catalog.make("plan/objectives", goal) for goal in plans[0].objective.goals]
    values = np.array([[goal.predicted(plan.prediction) for goal in goals] for plan in plans])
    units = np.array([len(plan.units) for plan in plans])
    return _pick(values, units, np.array([plan.prediction.alone_latency_s for plan in plans]))


def _notes(found: int, exact: bool, shown: int) -> tuple[str, ...]:
    kind = "exact" if exact else "not exact"
    return () if found == 1 else (f"{found} plans on the front ({kind}), {shown} shown",)
