"""Bars in rows: who does what from when to when, as plotly draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.report.charts import axis, label, layout
from shoal.report.palette import LINE

ROW_PX = 34


def frame(rows: Sequence[str], across: dict[str, Any], row_px: int = ROW_PX, **more: Any) -> dict[str, Any]:
    """The layout: a row for each name, the first on top; `across` is the axis that bars run along."""
    return layout(
        60 + row_px * len(rows),
        barmode="overlay",
        bargap=0,
        xaxis=across,
        yaxis=axis(
            tickvals=list(range(len(rows))),
            ticktext=[label(each, 26) for each in rows],
            range=[len(rows) - 0.5, -0.5],
            gridcolor=LINE,
        ),
        uniformtext={"minsize": 9, "mode": "hide"},
        **more,
    )


def bars(
    at: Sequence[int], starts: Sequence[float], lengths: Sequence[float], hover: Sequence[str],
    marker: dict[str, Any], texts: Sequence[str] | None = None, width: float = 0.8,
) -> dict[str, Any]:  # fmt: skip
    """Bars of one look.

    Args:
        at: the row of each.
        starts: where each begins.
        lengths: how long each is.
        hover: what is told of each, markup of ours.
        marker: colour and opacity.
        texts: what stands in each; none: nothing.
        width: of the bars, in rows.
    """
    return {
        "type": "bar",
        "orientation": "h",
        "base": list(starts),
        "x": list(lengths),
        "y": list(at),
        "width": width,
        "marker": {"line": {"color": "#ffffff", "width": 0.5}, **marker},
        "text": None if texts is None else list(texts),
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "hovertext": list(hover),
        "hoverinfo": "text",
    }
