"""What the coordinator saw and the workers of one or several epochs reported, as one Observed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from operator import add

from shoal.program import epoch_name
from shoal.record import Fact, Observed, Span, UnitReport
from shoal.run.crew import Reports
from shoal.run.flight import Seen
from shoal.worker import facts_of, spans_of

FIGURES = ("busy_s", "sent_bytes", "received_bytes", "cpu_s", "resident_bytes", "peak_bytes", "behind_s")
NOTHING = Observed((), {}, (), 0, ())


def gathered(seen: Seen, reports: Sequence[tuple[int, Reports]]) -> tuple[Observed, dict[int, Observed]]:
    """The whole run, and what happened in each epoch that left `reports`, of which one may have left several.

    In the whole, segments and edges of epochs above 0 bear the names that `epoch_name` gives them, and a unit's
    figures are those of all its workers together: memory too, for they are there side by side around a switch.
    Workers of one epoch were there one after another, so of their memory the most counts.
    """
    parts: dict[int, Observed] = {}
    for epoch, found in reports:
        parts[epoch] = _both(parts.get(epoch, NOTHING), _part(found), max)
    whole = reduce(lambda one, other: _both(one, other, add), (_named(*pair) for pair in parts.items()), NOTHING)
    missed = tuple(sorted(seen.missed.union(whole.missed)))
    late = len(seen.late.union(missed)) / max(1, len(seen.answers)) if seen.paced else None
    whole = replace(
        whole,
        answers=tuple(seen.answers),
        facts=_sorted((*whole.facts, *seen.facts)),
        late_share=late,
        missed=missed,
    )
    return whole, {epoch: _with_answers(part, epoch, seen) for epoch, part in parts.items()}


def _part(reports: Reports) -> Observed:
    """What one crew tells."""
    return Observed(
        answers=(),
        units={unit: UnitReport(**{name: report[name] for name in FIGURES}) for unit, report in reports.items()},
        spans=tuple(span for report in reports.values() for span in spans_of(report)),
        spans_dropped=sum(report["spans_dropped"] for report in reports.values()),
        facts=tuple(fact for report in reports.values() for fact in facts_of(report)),
        missed=tuple(item for report in reports.values() for item in report["missed"]),
    )


def _both(one: Observed, other: Observed, memory: Callable[[int, int], int]) -> Observed:
    units = dict(one.units)
    for name, report in other.units.items():
        units[name] = _sum(units[name], report, memory) if name in units else report
    return replace(
        one,
        units=units,
        spans=tuple(sorted((*one.spans, *other.spans), key=_begin)),
        spans_dropped=one.spans_dropped + other.spans_dropped,
        facts=_sorted((*one.facts, *other.facts)),
        missed=one.missed + other.missed,
    )


def _sum(one: UnitReport, other: UnitReport, memory: Callable[[int, int], int]) -> UnitReport:
    return UnitReport(
        one.busy_s + other.busy_s,
        one.sent_bytes + other.sent_bytes,
        one.received_bytes + other.received_bytes,
        (one.cpu_s or 0.0) + (other.cpu_s or 0.0),
        memory(one.resident_bytes or 0, other.resident_bytes or 0),
        memory(one.peak_bytes or 0, other.peak_bytes or 0),
        max((each.behind_s for each in (one, other) if each.behind_s is not None), default=None),
    )


def _named(epoch: int, part: Observed) -> Observed:
    if not epoch:
        return part
    return replace(
        part,
        spans=tuple(replace(span, name=epoch_name(epoch, span.name)) for span in part.spans),
        facts=tuple(replace(fact, subject=epoch_name(epoch, fact.subject)) for fact in part.facts),
    )


def _with_answers(part: Observed, epoch: int, seen: Seen) -> Observed:
    return replace(part, answers=tuple(answer for answer in seen.answers if answer.epoch == epoch))


def _begin(span: Span) -> tuple[float, str]:
    return span.start_s, span.unit


def _sorted(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    return tuple(sorted(facts, key=lambda fact: (fact.item, fact.subject, fact.kind)))
