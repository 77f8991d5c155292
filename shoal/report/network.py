"""The network as a picture: ops as marks coloured by the device that ran them, arrows as lines."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from shoal.record import Outline, Run
from shoal.report.charts import Chart, label, layout
from shoal.report.layout import Picture, fold, layered
from shoal.report.palette import INK, MUTED, colours, symbols

ROW_WIDE, ROW_NARROW = 48, 16  # layers a row, on a desk and on a phone
_TALLEST_PX = 1600
_LABELLED_OPS = 14  # up to this many layers, kinds are written beside their ops


def network(run: Run, per_row: int) -> Chart | None:
    """The graph of `run` folded into rows of `per_row` layers; None if it is not known."""
    outline = run.outline
    if not outline.ops:
        return None
    size = len(outline.ops)
    arrows = [(s, t) for s, t in outline.arrows if 0 <= s < t < size]
    picture = fold(layered(size, arrows), per_row)
    owner = [unit.partition("/")[0] for unit in outline.units]
    crossing = [owner[s] != owner[t] for s, t in arrows]
    data = [
        _lines(picture, [not cut for cut in crossing], {"color": "#b9c2cd", "width": 1}),
        _lines(picture, crossing, {"color": INK, "width": 2.5}),
    ]
    names = list(dict.fromkeys([*run.devices, *owner]))
    data += [
        _marks(
            outline,
            picture,
            [i for i in range(size) if owner[i] == name],
            colours(names)[name],
            symbols(names)[name],
        )
        for name in names
        if name in owner
    ]
    return {"data": data, "layout": _frame(picture)}


def _frame(picture: Picture) -> dict[str, Any]:
    lane_px = min(22.0, _TALLEST_PX / (picture.height + 2))
    hidden = {"visible": False, "fixedrange": False}
    return layout(
        round(20 + lane_px * (picture.height + 3)),
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        hovermode="closest",
        xaxis={**hidden, "range": [-0.8, picture.width - 0.2]},
        yaxis={**hidden, "range": [picture.height + 1.2, -1.8]},
        annotations=[_end(picture.points[0], "first"), _end(picture.points[-1], "last")],
    )


def _end(point: tuple[float, float], name: str) -> dict[str, Any]:
    return {
        "x": point[0],
        "y": point[1],
        "text": name,
        "showarrow": False,
        "yshift": 15,
        "font": {"size": 10, "color": MUTED},
    }


def _lines(picture: Picture, wanted: Sequence[bool], line: dict[str, Any]) -> dict[str, Any]:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for corners, shown in zip(picture.lines, wanted, strict=True):
        if shown:
            xs += [*(x for x, _ in corners), None]
            ys += [*(y for _, y in corners), None]
    return {"type": "scatter", "mode": "lines", "x": xs, "y": ys, "line": line, "hoverinfo": "skip"}


def _marks(outline: Outline, picture: Picture, ops: Sequence[int], colour: str, symbol: str) -> dict[str, Any]:
    most = max(outline.macs, default=0) or 1
    labelled = picture.width <= _LABELLED_OPS and picture.height <= 12
    return {
        "type": "scatter",
        "mode": "markers+text" if labelled else "markers",
        "x": [picture.points[i][0] for i in ops],
        "y": [picture.points[i][1] for i in ops],
        "text": [label(outline.kinds[i], 12) for i in ops] if labelled else None,
        "textposition": "bottom center",
        "textfont": {"size": 10},
        "hovertext": [_about(outline, i) for i in ops],
        "hoverinfo": "text",
        "marker": {
            "color": colour,
            "symbol": symbol,
            "opacity": 1,
            "size": [6 + 9 * sqrt(max(0, outline.macs[i]) / most) for i in ops],
            "line": {"color": "#ffffff", "width": 1},
        },
    }


def _about(outline: Outline, op: int) -> str:
    return "<br>".join(
        (
            f"<b>{label(outline.kinds[op])}</b> {label(outline.ops[op])}",
            f"{outline.macs[op]:,} multiply-accumulates",
            f"on {label(outline.units[op])}",
        )
    )
