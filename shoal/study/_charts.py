"""A study's charts as plain plotly figures, in the report's style."""

from __future__ import annotations

from typing import Any

from shoal.report.charts import Chart as Drawn
from shoal.report.charts import axis, label, layout
from shoal.report.gantt import bars, frame
from shoal.report.palette import COLOURS, SYMBOLS, colours
from shoal.study.contract import Bar, Chart, Gantt, Series

ROW_PX = 26  # of bars that hold a word: with less plotly leaves it out
COUNTED = 32  # whole steps on an axis that are all told
_DASHES = ("solid", "dash", "dot", "dashdot")
_LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}


def drawn(chart: Chart) -> Drawn:
    """The figure; series differ in colour, and in dash or symbol for those who see no colour."""
    if chart.kind == "heat":
        return _heat(chart)
    own = [each for each in chart.series if not each.roof_of]
    frame = layout(
        360 + 20 * max(0, len(own) - 4),
        xaxis=_axis(chart.x, chart.log_x),
        yaxis=_axis(chart.y, chart.log_y),
        showlegend=len(own) > 1,
        legend=_LEGEND,
        barmode="group",
        bargap=0.4,
    )
    place = {each.name: index for index, each in enumerate(own)}
    data = [_series(chart, each, index) for index, each in enumerate(own)]
    data += [_roof(each, place[each.roof_of]) for each in chart.series if each.roof_of]
    return {"data": data, "layout": frame}


def gantt(chart: Gantt) -> Drawn:
    """Bars of a group in one colour; what stands in them is left out where it has no place, and told on pointing."""
    groups = list(dict.fromkeys(bar.group for bar in chart.bars))
    colour, at = colours(groups), {row: index for index, row in enumerate(chart.rows)}
    ends = [bar.start + bar.length for bar in chart.bars]
    across = _axis(chart.x, log=False) | {
        "range": [min((bar.start for bar in chart.bars), default=0), max(ends, default=1)]
    }
    if max(ends, default=1) <= COUNTED and not any(end % 1 for end in ends):
        across["dtick"] = 1
    figure = frame(chart.rows, across, ROW_PX, showlegend=any(groups), legend=_LEGEND)
    data = []
    for group in groups:
        own = [bar for bar in chart.bars if bar.group == group]
        data.append({
            "name": label(group),
            **bars([at[bar.row] for bar in own], [bar.start for bar in own], [bar.length for bar in own],
                   [_told(bar) for bar in own], {"color": colour[group]}, [label(bar.label) for bar in own]),
        })  # fmt: skip
    return {"data": data, "layout": figure}


def _told(bar: Bar) -> str:
    lines = (f"<b>{label(bar.label)}</b>", label(bar.row), f"{bar.length:g} from {bar.start:g}", label(bar.group))
    return "<br>".join(line for line in lines if line)


def _axis(title: str, log: bool) -> dict[str, Any]:
    return axis(label(title, 80), **({"type": "log"} if log else {}))


def _heat(chart: Chart) -> Drawn:
    """A row a series; what `y` tells is the colour, so its axis is named at the scale."""
    frame = layout(
        160 + 18 * len(chart.series),
        xaxis=_axis(chart.x, chart.log_x),
        yaxis={"autorange": "reversed", "automargin": True},
    )
    return {"data": [{
        "type": "heatmap", "x": list(chart.series[0].x), "y": [label(each.name) for each in chart.series],
        "z": [list(each.y) for each in chart.series], "colorscale": "Viridis", "colorbar": {"title": {"text": label(chart.y, 80), "side": "right"}},
    }], "layout": frame}  # fmt: skip


def _roof(series: Series, index: int) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": label(series.name), "x": list(series.x), "y": list(series.y),
        "line": {"color": COLOURS[index % len(COLOURS)], "width": 1, "dash": _DASHES[index % len(_DASHES)]},
        "opacity": 0.7, "legendgroup": label(series.roof_of), "showlegend": False,
    }  # fmt: skip


def _series(chart: Chart, series: Series, index: int) -> dict[str, Any]:
    colour = COLOURS[index % len(COLOURS)]
    shared = {
        "name": label(series.name),
        "legendgroup": label(series.name),
        "x": [label(x) if isinstance(x, str) else x for x in series.x],
        "y": list(series.y),
    }
    if chart.kind == "bars":
        return {"type": "bar", "marker": {"color": colour}, **shared}
    return {
        "type": "scatter",
        "mode": "lines+markers" if chart.kind == "line" else "markers",
        "line": {"color": colour, "width": 2, "dash": _DASHES[index % len(_DASHES)]},
        "marker": {"color": colour, "size": 7, "symbol": SYMBOLS[index % len(SYMBOLS)]},
        **shared,
    }
