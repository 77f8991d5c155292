"""What a placement will do: its Program in the simulator, accounted like a real run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shoal import catalog
from shoal.cost import CostKey, Costs, account, as_busy, elapsed_s, pace, traffic, unit_bytes
from shoal.cost.carbon import carbon_rates
from shoal.fleet import Fleet
from shoal.program import Pace, Program, Segment, Workload
from shoal.record import Estimate, Prediction, Run
from shoal.sim import simulate

MOST_ITEMS = 64  # a closed workload is periodic long before


@dataclass(frozen=True)
class Forecast:
    """A prediction with what it rests on."""

    prediction: Prediction
    pace: Pace
    estimates: Mapping[str, Estimate]  # by segment


def forecast(program: Program, fleet: Fleet, costs: Costs, workload: Workload) -> Forecast:
    """Simulate `program` under `workload`, and one item alone.

    Raises:
        PlanError: a unit cannot run one of its segments.
    """
    around = traffic(program)
    keys = {each.name: replace(key_of(each), traffic=around.get(each.name)) for each in program.segments}
    estimates = {name: costs.estimate(key) for name, key in keys.items()}
    seconds = {name: estimate.seconds for name, estimate in estimates.items()}
    rates = carbon_rates(fleet)
    fleet, tempo = as_busy(fleet, program, estimates), pace(program, fleet, seconds)
    run, elapsed = _simulated(program, fleet, tempo, _shortened(workload))
    alone, _ = _simulated(program, fleet, tempo, Workload(items=1, window=1, pattern=workload.pattern))
    memory = _memory(program, estimates, workload.sessions)
    prediction = Prediction(
        period_s=run.period_s,
        latency_s=sorted(run.latencies_s)[len(run.latencies_s) // 2],
        alone_latency_s=alone.latencies_s[0],
        energy_j=_energy(run, fleet, elapsed),
        memory_bytes=memory,
        sent_bytes={name: figures.sent_bytes // run.items for name, figures in run.devices.items()},
        busy_s={name: figures.busy_s / run.items for name, figures in run.devices.items()},
        carbon=rates,
    )
    return Forecast(prediction, tempo, estimates)


def key_of(segment: Segment) -> CostKey:
    """The cost question that a segment is."""
    return CostKey(segment.ops, segment.unit, segment.engine, segment.format, segment.operating_point)


def _shortened(workload: Workload) -> Workload:
    if workload.arrival != "closed":
        return workload
    return replace(workload, items=min(MOST_ITEMS, max(workload.items, 4 * workload.window)))


def _simulated(program: Program, fleet: Fleet, tempo: Pace, workload: Workload) -> tuple[Run, float]:
    """What happened, and the seconds it took from first arrival to last answer."""
    observed = simulate(program, tempo, catalog.make("program/drivers", "stream"), workload)
    return account(observed, program, fleet, workload=workload, provenance="simulated"), elapsed_s(observed)


def _energy(run: Run, fleet: Fleet, elapsed: float) -> dict[str, float]:
    """Joules an item by device when the pipe is full: idle power while it fills and drains is left out."""
    spare_s = elapsed / run.items - run.period_s
    return {
        name: each.energy_j / run.items - fleet.device(name).idle_w * spare_s for name, each in run.devices.items()
    }


def _memory(program: Program, estimates: Mapping[str, Estimate], sessions: int) -> dict[str, int]:
    """Peak bytes by device: the workers of its units run at the same time."""
    peaks: dict[str, int] = {}
    for unit in program.units:
        device = unit.partition("/")[0]
        peaks[device] = peaks.get(device, 0) + unit_bytes(program, unit, estimates, sessions)[1]
    return peaks
