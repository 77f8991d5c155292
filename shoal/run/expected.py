"""What a plan's estimates say of a workload that it was not planned for."""

from __future__ import annotations

from dataclasses import replace

from shoal import catalog
from shoal.cost import account, as_busy, pace
from shoal.plan.values import Plan
from shoal.program import Program, Workload
from shoal.record import Prediction
from shoal.sim import simulate


def expected(plan: Plan, program: Program, workload: Workload) -> Prediction:
    """The plan's own prediction; where items come by themselves, what the simulator makes of its estimates."""
    if workload.arrival == "closed" or not plan.estimates:
        return plan.prediction
    tempo = pace(program, plan.fleet, {name: estimate.seconds for name, estimate in plan.estimates.items()})
    observed = simulate(program, tempo, catalog.make("program/drivers", "stream"), workload)
    fleet = as_busy(plan.fleet, program, plan.estimates)
    run = account(observed, program, fleet, workload=workload, provenance="simulated")
    return replace(
        plan.prediction,
        period_s=run.period_s,
        latency_s=sorted(run.latencies_s)[len(run.latencies_s) // 2],
        energy_j={name: figures.energy_j / run.items for name, figures in run.devices.items()},
    )
