"""What a coordinator or simulator saw, to the Run that reports are made of.

Conclusions are drawn here and nowhere else, so a real run and a simulated one are judged alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from shoal.cost.arrivals import overrun, rates
from shoal.cost.conserve import crossed_bytes, elapsed_s, energy_faults, faults, refuse
from shoal.cost.energy import busy_energy_j, device_energy_j, device_of, devices_of, transfer_energy_j
from shoal.fleet import Fleet
from shoal.program import Program, Workload
from shoal.record import (
    Answer,
    DeviceFigures,
    Observed,
    Outline,
    Prediction,
    Provenance,
    Run,
    Trace,
    UnitReport,
)

Figure = TypeVar("Figure", int, float)


@dataclass(frozen=True)
class Match:
    """How the answers compare with the undivided model's."""

    output_digests: Mapping[int, str] = field(default_factory=dict)  # item -> SHA-256 of its outputs
    outputs_match: bool | None = None  # None: not compared
    max_abs_difference: float | None = None
    reference_magnitude: float | None = None


@dataclass(frozen=True)
class About:
    """What a Run says of how it came to be."""

    name: str = ""
    model: str = ""
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    started_at: str = ""  # ISO 8601, UTC
    notes: tuple[str, ...] = ()


def account(
    observed: Observed,
    program: Program,
    fleet: Fleet,
    *,
    workload: Workload,
    provenance: Provenance,
    about: About | None = None,
    outline: Outline | None = None,
    prediction: Prediction | None = None,
    match: Match | None = None,
    client: str | None = None,
) -> Run:
    """The Run that `observed` amounts to; bytes that do not add up are said in its notes.

    Args:
        observed: from the coordinator or the simulator.
        program: what was executed.
        fleet: whose stated power turns seconds and bytes into joules.
        workload: what was asked for.
        provenance: of its times: "measured", "emulated" or "simulated".
        about: name, model and circumstances; the program's name if not given.
        outline: the graph, for pictures; empty if not given.
        prediction: the plan's own.
        match: how the outputs compare; None: not compared.
        client: the device the client sits on, as it was given to `pace`.

    Raises:
        ProgramError: a simulated run does not add up, which is a defect.
    """
    about, match = about or About(program.name, program.name), match or Match()
    devices, differs = _devices(observed, program, fleet, client), faults(observed, program)
    if provenance == "simulated":
        energy_j = {name: figures.energy_j for name, figures in devices.items()}
        refuse(differs + energy_faults(energy_j, observed, program, fleet, client), program)
    answers = sorted(observed.answers, key=lambda answer: answer.item)
    offered, obtained = rates(observed.answers, workload)
    return Run(
        name=about.name,
        model=about.model,
        items=workload.items,
        window=workload.window,
        period_s=period_s(observed.answers, workload.window),
        latencies_s=tuple(answer.answered_s - answer.arrived_s for answer in answers),
        devices=devices,
        provenance=_provenance(provenance),
        spans=observed.spans,
        spans_dropped=observed.spans_dropped,
        outline=outline or Outline((), (), (), (), ()),
        prediction=prediction,
        output_digests=match.output_digests,
        outputs_match=match.outputs_match,
        max_abs_difference=match.max_abs_difference,
        reference_magnitude=match.reference_magnitude,
        late_share=observed.late_share,
        trace=Trace(observed.facts),
        seed=about.seed,
        versions=about.versions,
        started_at=about.started_at,
        behind_s=max((u.behind_s for u in observed.units.values() if u.behind_s is not None), default=None),
        offered_items_per_s=offered,
        obtained_items_per_s=obtained,
        notes=about.notes + overrun(observed.answers, workload) + differs,
    )


def period_s(answers: Sequence[Answer], window: int) -> float:
    """Mean interval between answers once the pipe is full.

    The first `window` answers come while it fills, the last `window` - 1 while it drains; they are left out if
    two at least remain, else only the filling, else none. A single answer's period is its latency; without
    answers it is 0.
    """
    times_s = sorted(answer.answered_s for answer in answers)
    if len(times_s) < 2:
        return sum(answer.answered_s - answer.arrived_s for answer in answers)
    steady = times_s[window : len(times_s) - window + 1]
    if len(steady) < 2:
        steady = times_s[window:] if len(times_s) >= window + 2 else times_s
    return (steady[-1] - steady[0]) / (len(steady) - 1)


def _devices(observed: Observed, program: Program, fleet: Fleet, client: str | None) -> dict[str, DeviceFigures]:
    busy_j = busy_energy_j(program, fleet, _segment_seconds(observed, program))
    transfer_j = transfer_energy_j(program, fleet, crossed_bytes(observed, program), client)
    time_s = elapsed_s(observed)
    figures = {}
    for device in devices_of(program) if observed.units else ():
        units = tuple(unit for unit in program.units if device_of(unit) == device)
        energy_j = device_energy_j(fleet.device(device), time_s, busy_j[device], transfer_j[device])
        figures[device] = _figures(program, units, [observed.units[unit] for unit in units], energy_j)
    return figures


def _figures(
    program: Program, units: tuple[str, ...], reports: Sequence[UnitReport], energy_j: float
) -> DeviceFigures:
    return DeviceFigures(
        busy_s=sum(report.busy_s for report in reports),
        cpu_s=_sum([report.cpu_s for report in reports]),
        energy_j=energy_j,
        resident_bytes=_sum([report.resident_bytes for report in reports]),
        peak_bytes=_sum([report.peak_bytes for report in reports]),
        weights_bytes=sum(segment.weights_bytes for segment in program.segments if segment.unit in units),
        sent_bytes=sum(report.sent_bytes for report in reports),
        received_bytes=sum(report.received_bytes for report in reports),
        units=units,
    )


def _sum(figures: Sequence[Figure | None]) -> Figure | None:
    """The total, or None if one is unknown."""
    total: Figure | None = None
    for figure in figures:
        if figure is None:
            return None
        total = figure if total is None else total + figure
    return total


def _segment_seconds(observed: Observed, program: Program) -> dict[str, float]:
    """Each segment's seconds; where they are not known, its unit's busy seconds shared as its kept spans are."""
    if observed.totals:
        return dict(observed.totals.segment_s)
    seconds = {segment.name: 0.0 for segment in program.segments}
    for span in observed.spans:
        if span.kind == "run":
            seconds[span.name] += span.end_s - span.start_s
    for unit, report in observed.units.items():
        own = [segment.name for segment in program.segments if segment.unit == unit]
        known_s = sum(seconds[name] for name in own)
        for name in own:
            share = seconds[name] / known_s if known_s else 1 / len(own)
            seconds[name] = report.busy_s * share
    return seconds


def _provenance(of_time: Provenance) -> dict[str, Provenance]:
    """Figure to how it was got: joules and weights are never measured by a run, the rest follows the clock."""
    simulated = of_time == "simulated"
    moved: Provenance = "simulated" if simulated else "measured"
    timed = ("period_s", "throughput_items_per_s", "latencies_s", "busy_s")
    counted = ("cpu_s", "resident_bytes", "peak_bytes", "sent_bytes", "received_bytes")
    return {
        **dict.fromkeys(timed, of_time),
        **dict.fromkeys(counted, moved),
        "energy_j": "simulated" if simulated else "modelled",
        "weights_bytes": "predicted",
    }
