"""What a plan was to make best, beside what a run of it gave."""

from __future__ import annotations

from dataclasses import replace

from shoal import catalog
from shoal.plan.values import Plan
from shoal.record import Goal, Run


def with_goals(run: Run, plan: Plan) -> Run:
    """`run`, whose prediction is of `plan`, with a Goal for each goal of the plan's objective."""
    return replace(run, goals=tuple(_goal(name, run) for name in plan.objective.goals)) if run.prediction else run


def _goal(name: str, run: Run) -> Goal:
    objective = catalog.make("plan/objectives", name)
    obtained = objective.obtained(run) if len(run.latencies_s) == run.items else None  # else it ended early
    how = run.provenance.get(objective.figure) if obtained is not None else None
    return Goal(name, objective.unit, objective.predicted(run.prediction), obtained, how)
