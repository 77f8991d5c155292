"""Reading beside computing, as a picture."""

from __future__ import annotations

from shoal.record import Span
from shoal.store import Told
from shoal.store.timeline import ROWS, Stretch, spans
from shoal.study.contract import Bar, Gantt


def reading(title: str, told: Told, within: Stretch, note: str = "") -> Gantt:
    """What a store and its user did during a stretch of the store's clock; stalls are the bars that wait."""
    bars = tuple(_bar(each, within[0]) for each in spans(told, within))
    return Gantt(title, "time, ms", ROWS, bars, note)


def _bar(span: Span, begun_s: float) -> Bar:
    row = span.unit.rpartition("/")[2]
    return Bar(row, 1e3 * (span.start_s - begun_s), 1e3 * (span.end_s - span.start_s), span.name, row)
