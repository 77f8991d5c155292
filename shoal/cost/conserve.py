"""Whether an account adds up: bytes that were sent must arrive, and no unit is busy for longer than the run.

A simulated run knows exact totals, and is held to all of it: bytes by edge and unit, busy seconds by segment and
unit, runs of one unit that do not overlap, joules. A real one is held to what its reports can tell.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import isclose

from shoal.cost.energy import busy_energy_j, device_energy_j, transfer_energy_j
from shoal.errors import ProgramError
from shoal.fleet import Fleet
from shoal.program import CLIENT, Program
from shoal.record import Observed, Span, Totals

TOLERANCE_S = 1e-3  # clocks of two processes, read a moment apart
ROUNDING = 1e-9  # relative: sums of the same seconds in another order


def elapsed_s(observed: Observed) -> float:
    """From the first item's arrival to the last answer or the last span, whichever is later."""
    ended_s = observed.totals.ended_s if observed.totals else max((s.end_s for s in observed.spans), default=0.0)
    if not observed.answers:
        return ended_s
    last_s = max(ended_s, *(answer.answered_s for answer in observed.answers))
    return last_s - min(answer.arrived_s for answer in observed.answers)


def check_conserved(observed: Observed, program: Program) -> None:
    """Refuse a simulated run that does not add up.

    Raises:
        ProgramError: with what differs; this is a defect of the simulator, not of the program.
    """
    refuse(faults(observed, program), program)


def refuse(found: tuple[str, ...], program: Program) -> None:
    """Raise what was found, if anything.

    Raises:
        ProgramError: with the first of it.
    """
    if found:
        raise ProgramError(
            "a simulated run does not add up", where=program.name, had="; ".join(found[:5]),
            hint="this is a defect of the simulator",
        )  # fmt: skip


def crossed_bytes(observed: Observed, program: Program) -> dict[str, float]:
    """Payload bytes that each edge moved in the whole run, by edge name.

    What units sent is known from their spans, and where spans were dropped in proportion to the units' totals.
    What the client sent is the rest of what a unit received, shared by size among its edges from the client.
    """
    if observed.totals:
        return {name: float(size) for name, size in observed.totals.sent_bytes.items()}
    moved = {edge.name: 0.0 for edge in program.edges}
    for span in observed.spans:
        if span.kind == "transfer":
            moved[span.name] += span.bytes
    for unit, report in observed.units.items():
        _rescale(moved, [edge.name for edge in program.edges if edge.source == unit], report.sent_bytes)
    for unit, report in observed.units.items():
        inner = sum(moved[e.name] for e in program.edges if e.target == unit and e.source != CLIENT)
        outer = {
            e.name: e.spec.bytes(program.sizes) for e in program.edges if e.target == unit and e.source == CLIENT
        }
        for name, size in outer.items():
            moved[name] = max(0.0, report.received_bytes - inner) * size / (sum(outer.values()) or 1)
    return moved


def faults(observed: Observed, program: Program) -> tuple[str, ...]:
    """What does not add up, in words for a Run's notes; nothing for a run that ended early, without reports."""
    if observed.totals is None:
        return (*_busy_faults(observed, elapsed_s(observed)), *_byte_faults(observed, program))
    return (
        *_busy_faults(observed, observed.totals.ended_s),
        *_total_faults(observed, observed.totals, program),
        *_span_faults(observed, observed.totals),
        *_answer_faults(observed),
    )


def energy_faults(
    energy_j: Mapping[str, float], observed: Observed, program: Program, fleet: Fleet, client: str | None
) -> tuple[str, ...]:
    """Devices whose joules are not idle power × time + busy power × runs + bytes, taken from the single spans.

    Nothing where spans were dropped, or where the totals of a run are not known.
    """
    totals = observed.totals
    if totals is None or observed.spans_dropped or totals.unreceived_bytes or not observed.units:
        return ()
    seconds, moved = defaultdict[str, float](float), dict(totals.sent_bytes)
    moved |= {edge.name: 0 for edge in program.edges if edge.source != CLIENT}
    for span in observed.spans:
        if span.kind == "run":
            seconds[span.name] += span.end_s - span.start_s
        else:
            moved[span.name] += span.bytes
    busy_j, transfer_j = busy_energy_j(program, fleet, seconds), transfer_energy_j(program, fleet, moved, client)
    found = []
    for name, joules in energy_j.items():
        spent_j = device_energy_j(fleet.device(name), elapsed_s(observed), busy_j[name], transfer_j[name])
        if not isclose(joules, spent_j, rel_tol=1e-6):
            found.append(f"{name} spent {joules:g} J, its runs and transfers {spent_j:g} J")
    return tuple(found)


def _total_faults(observed: Observed, totals: Totals, program: Program) -> Iterator[str]:
    sent, received, busy_s = Counter[str](), Counter[str](), defaultdict[str, float](float)
    for edge in program.edges:
        sent[edge.source] += totals.sent_bytes[edge.name]
        received[edge.target] += totals.sent_bytes[edge.name] - totals.unreceived_bytes.get(edge.name, 0)
    for segment in program.segments:
        busy_s[segment.unit] += totals.segment_s[segment.name]
    for unit, report in observed.units.items():
        if report.sent_bytes != sent[unit]:
            yield f"{unit} sent {report.sent_bytes} B, its edges {sent[unit]} B"
        if report.received_bytes != received[unit]:
            yield f"{unit} received {report.received_bytes} B, its edges brought {received[unit]} B"
        if not isclose(report.busy_s, busy_s[unit], rel_tol=ROUNDING, abs_tol=ROUNDING):
            yield f"{unit} was busy for {report.busy_s:g} s, its segments ran {busy_s[unit]:g} s"


def _span_faults(observed: Observed, totals: Totals) -> Iterator[str]:
    """Spans of one unit that overlap; if all were kept, edges and segments whose spans are not their totals."""
    runs: defaultdict[str, list[Span]] = defaultdict(list)
    seconds, moved = defaultdict[str, float](float), Counter[str]()
    for span in observed.spans:
        if span.kind == "run":
            runs[span.unit].append(span)
            seconds[span.name] += span.end_s - span.start_s
        else:
            moved[span.name] += span.bytes
    for unit, own in runs.items():
        for before, after in pairwise(own):
            if after.start_s < before.end_s:
                yield f"{unit} ran {before.name} and {after.name} at {after.start_s:g} s"
    if observed.spans_dropped:
        return
    for name, total_s in totals.segment_s.items():
        if not isclose(seconds[name], total_s, rel_tol=ROUNDING, abs_tol=ROUNDING * max(1.0, totals.ended_s)):
            yield f"'{name}' ran {total_s:g} s, its spans {seconds[name]:g} s"
    for name, size in moved.items():
        there = totals.sent_bytes[name] - totals.unreceived_bytes.get(name, 0)
        if size != there:
            yield f"'{name}' brought {there} B, its spans {size} B"


def _answer_faults(observed: Observed) -> Iterator[str]:
    seen: set[int] = set()
    for answer in observed.answers:
        if answer.item in seen or answer.answered_s < answer.arrived_s:
            yield f"item {answer.item} was answered twice, or before it came"
        seen.add(answer.item)


def _busy_faults(observed: Observed, limit_s: float) -> Iterator[str]:
    for unit, report in observed.units.items():
        if report.busy_s > limit_s + TOLERANCE_S:
            yield f"{unit} says it was busy for {report.busy_s:g} s of a run of {limit_s:g} s"


def _byte_faults(observed: Observed, program: Program) -> Iterator[str]:
    """Only where it can be known: every item of one known size, on one route, nothing dropped."""
    if program.sizes or len(program.routes) != 1 or observed.spans_dropped or not observed.units:
        return
    items = len(observed.answers)
    route = program.routes[0]
    given = items * sum(program.edge[name].spec.bytes({}) for name in route.inputs)
    answered = sum(
        span.bytes
        for span in observed.spans
        if span.kind == "transfer" and program.edge[span.name].target == CLIENT
    )
    sent = sum(report.sent_bytes for report in observed.units.values()) - answered
    received = sum(report.received_bytes for report in observed.units.values()) - given
    if sent != received:
        yield f"units sent each other {sent} B and received {received} B"


def _rescale(moved: dict[str, float], edges: list[str], total: int) -> None:
    known = sum(moved[name] for name in edges)
    for name in edges:
        moved[name] = moved[name] * total / known if known else total / len(edges)
