"""The timeline: who worked and who sent when, over a few items of the steady state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from shoal.record import Run, Span
from shoal.report.charts import Chart, axis, label, scale
from shoal.report.gantt import bars, frame
from shoal.report.palette import colours
from shoal.report.text import quantity

BARS = 2000  # drawn at most; more only slow the page down
SHOWN_ITEMS = 8

_MUTED_BAR = "#8a94a0"


def timeline(run: Run) -> Chart | None:
    """One row per unit, a thin one for what it sends; None without spans."""
    spans, (start_s, end_s) = steady(run)
    if not spans:
        return None
    factor, unit = scale(end_s - start_s)
    rows = {row: index for index, row in enumerate(_rows(run.spans, spans))}
    colour = colours(run.devices)
    names = [unit if kind == "run" else "sends" for unit, kind in rows]
    across = axis(f"time in the run, {unit}", range=[start_s * factor, end_s * factor])
    data = [
        _bars(row, [s for s in spans if (s.unit, s.kind) == row], at, factor, colour) for row, at in rows.items()
    ]
    return {"data": data, "layout": frame(names, across)}


def steady(run: Run, limit: int = BARS) -> tuple[list[Span], tuple[float, float]]:
    """At most `limit` spans of a stretch in which the pipe is full, and the stretch in seconds.

    The stretch is that of a few items after the first window; spans of others that overlap it are shown too.
    """
    spans = sorted(run.spans, key=lambda span: (span.start_s, span.end_s))
    items = sorted({span.item for span in spans})
    first = max(0, min(run.window, len(items) - SHOWN_ITEMS - run.window))
    chosen = set(items[first : first + SHOWN_ITEMS])
    own = [span for span in spans if span.item in chosen]
    if not own:
        return [], (0.0, 0.0)
    start_s, end_s = own[0].start_s, max(span.end_s for span in own)
    seen = [span for span in spans if span.end_s >= start_s and span.start_s <= end_s]
    if len(seen) > limit:
        seen = [span for span in seen if span.start_s >= start_s][:limit]
        end_s = seen[-1].end_s
    return seen, (start_s, end_s)


def _rows(every: Iterable[Span], spans: Iterable[Span]) -> list[tuple[str, str]]:
    """(unit, kind) of `spans` in the order units began in the run, each unit's sending right under its work."""
    units = dict.fromkeys(span.unit for span in sorted(every, key=lambda span: span.start_s))
    present = {(span.unit, span.kind) for span in spans}
    return [(unit, kind) for unit in units for kind in ("run", "transfer") if (unit, kind) in present]


def _bars(
    row: tuple[str, str], spans: Sequence[Span], at: int, factor: float, colour: dict[str, str]
) -> dict[str, Any]:
    works = row[1] == "run"
    look = {
        "color": colour.get(row[0].partition("/")[0], _MUTED_BAR),
        "opacity": [_opacity(span, works) for span in spans],
    }
    return bars(
        [at] * len(spans),
        [span.start_s * factor for span in spans],
        [(span.end_s - span.start_s) * factor for span in spans],
        [_about(span) for span in spans],
        look,
        [str(span.item) for span in spans] if works else None,
        0.8 if works else 0.26,
    )


def _opacity(span: Span, works: bool) -> float:
    """Neighbouring items in two tones, so that they are told apart without reading."""
    return (1.0 if span.item % 2 == 0 else 0.72) if works else 0.55


def _about(span: Span) -> str:
    lines = [f"<b>{label(span.name)}</b>", f"item {span.item} on {label(span.unit)}"]
    lines.append(f"{quantity(span.end_s - span.start_s, 's')}, from {quantity(span.start_s, 's')}")
    if span.bytes:
        lines.append(quantity(span.bytes, "B"))
    if span.joules:
        lines.append(quantity(span.joules, "J"))
    return "<br>".join(lines)
