"""A plan's Program in the simulator, accounted for like a real run."""

from __future__ import annotations

from dataclasses import replace

from shoal import catalog
from shoal.cost import account, as_busy
from shoal.plan.lower import lower
from shoal.plan.values import Plan
from shoal.program import Workload
from shoal.record import Run
from shoal.run.execute import Settings, about, model_of, outline_of, pace_of
from shoal.run.expected import expected
from shoal.run.goals import with_goals
from shoal.sim import simulate


def simulated(plan: Plan, items: int, arriving: Workload | None = None) -> Run:
    """The Run of `items` items of `plan`'s workload, or of what is `arriving` instead, on the machines as the plan's costs describe them.

    Raises:
        PlanError: the model changed since it was planned.
    """
    graph = model_of(plan)
    program = lower(graph, plan)
    workload = arriving or replace(plan.workload, items=items)
    tempo, driver = pace_of(plan, program), catalog.make("program/drivers", "stream")
    observed = simulate(program, tempo, driver, workload)
    (alone,) = simulate(program, tempo, driver, Workload(items=1, window=1, pattern=workload.pattern)).answers
    run = account(
        observed,
        program,
        as_busy(plan.fleet, program, plan.estimates),
        workload=workload,
        provenance="simulated",
        about=about(plan, Settings(items=items), ()),
        outline=outline_of(graph, plan),
        prediction=expected(plan, program, workload),
    )
    run = replace(run, front=plan.front, alone_latency_s=alone.answered_s - alone.arrived_s)
    return with_goals(run, plan)
