"""Whether an account adds up: bytes that were sent must arrive, and no unit is busy for longer than the run."""

from __future__ import annotations

from collections.abc import Iterator

from shoal.program import CLIENT, Program
from shoal.record import Observed

TOLERANCE_S = 1e-3  # clocks of two processes, read a moment apart


def elapsed_s(observed: Observed) -> float:
    """From the first item's arrival to the last answer or the last span, whichever is later."""
    if not observed.answers:
        return max((span.end_s for span in observed.spans), default=0.0)
    last_s = max(answer.answered_s for answer in observed.answers)
    last_s = max([last_s, *(span.end_s for span in observed.spans)])
    return last_s - min(answer.arrived_s for answer in observed.answers)


def crossed_bytes(observed: Observed, program: Program) -> dict[str, float]:
    """Payload bytes that each edge moved in the whole run, by edge name.

    What units sent is known from their spans, and where spans were dropped in proportion to the units' totals.
    What the client sent is the rest of what a unit received, shared by size among its edges from the client.
    """
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
    return (*_busy_faults(observed), *_byte_faults(observed, program))


def _busy_faults(observed: Observed) -> Iterator[str]:
    limit_s = elapsed_s(observed)
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
