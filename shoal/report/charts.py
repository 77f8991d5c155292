"""Charts as plain plotly figures (`{"data": [...], "layout": {...}}`): plans, latencies, throughputs.

Every name that enters a chart goes through `label`, because plotly reads markup in texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from shoal.record import FrontPoint, Run
from shoal.report import figures
from shoal.report.palette import ACCENT, COLOURS, INK, LINE, MUTED
from shoal.report.text import plural, quantity, shorten

Chart = dict[str, Any]


def label(name: str, width: int = 48) -> str:
    """`name` fit for a plotly text: short, without control characters, its markup inert."""
    return escape(shorten(name, width), quote=False)


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """A calm axis."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": "#edf0f4",
        "linecolor": LINE,
        "zeroline": False,
        "automargin": True,
        **more,
    }


def layout(height: int, **more: Any) -> dict[str, Any]:
    """The frame that all charts share; `height` in pixels, the width is the page's."""
    return {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12, "color": INK},
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": LINE, "font": {"color": INK}, "align": "left"},
        "showlegend": False,
        "autosize": True,
        **more,
    }


def scale(seconds: float) -> tuple[float, str]:
    """Factor and unit in which a time of this size reads well."""
    return next(((f, u) for limit, f, u in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")) if seconds < limit), (1.0, "s"))


def plans(runs: Sequence[Run]) -> Chart | None:
    """Plans by latency and throughput, area by memory, colour by energy; and what each run obtained."""
    points = list(dict.fromkeys(point for run in runs for point in run.front))
    obtained = [_obtained(run) for run in runs]
    latencies = [p.latency_s for p in points] + [pair[0] for pair in obtained if pair]
    if len(points) < 2:  # nothing to choose from
        return None
    factor, unit = scale(max(latencies))
    data = [_front(points, factor), _chosen([p for p in points if p.chosen], factor)]
    data += [
        _star(run, pair, factor, run_colour(index))
        for index, (run, pair) in enumerate(zip(runs, obtained, strict=True))
        if pair
    ]
    frame = layout(
        400 + _legend_px(runs),
        xaxis=axis(f"latency, {unit}"),
        yaxis=axis("throughput, items/s"),
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return {"data": data, "layout": frame}


def latencies(runs: Sequence[Run]) -> Chart | None:
    """For each run, the share of items answered within a time."""
    longest = max((t for run in runs for t in [figures.quantile(run.latencies_s, 1.0)] if t), default=None)
    if longest is None:
        return None
    factor, unit = scale(longest)
    data = []
    for index, run in enumerate(runs):
        steps = [step / 200 for step in range(201)]
        times = [figures.quantile(run.latencies_s, step) for step in steps]
        if times[0] is None:
            continue
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": label(run.name, 28),
                "x": [t * factor for t in times if t is not None],
                "y": [100 * step for step in steps],
                "line": {"color": run_colour(index), "width": 2, "dash": _dash(index)},
                "hovertemplate": f"%{{y:.0f}} % within %{{x:.4g}} {unit}",
            }
        )
    frame = layout(
        300 + _legend_px(runs),
        xaxis=axis(f"latency, {unit}"),
        yaxis=axis("items answered, %", range=[0, 101]),
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return {"data": data, "layout": frame}


def throughputs(runs: Sequence[Run]) -> Chart:
    """For each run, throughput obtained as a bar and predicted as a mark."""
    found = [figures.pick(figures.whole(run), "throughput_items_per_s") for run in runs]
    names = [label(f"{index + 1}. {run.name}", 26) for index, run in enumerate(runs)]
    hover = [
        f"{name}<br>obtained {quantity(f.obtained, f.kind)}<br>predicted {quantity(f.predicted, f.kind)}"
        for name, f in zip(names, found, strict=True)
    ]
    shared = {"y": names, "hovertext": hover, "hoverinfo": "text", "showlegend": False}
    bars = {"type": "bar", "orientation": "h", "x": [f.obtained for f in found], "width": 0.55, **shared}
    bars["marker"] = {"color": [run_colour(i) for i in range(len(runs))]}
    marks = {"type": "scatter", "mode": "markers", "x": [f.predicted for f in found], **shared}
    marks["marker"] = {"symbol": "line-ns", "size": 22, "line": {"width": 3, "color": INK}}
    frame = layout(
        70 + 40 * len(runs),
        xaxis=axis("items/s", rangemode="tozero"),
        yaxis=axis(autorange="reversed"),
    )
    return {"data": [bars, marks], "layout": frame}


def _obtained(run: Run) -> tuple[float, float] | None:
    """Latency of an item alone, as a plan's is (the median if that was not taken), and throughput."""
    latency_s = run.alone_latency_s
    if latency_s is None:
        latency_s = figures.quantile(run.latencies_s, 0.5)
    rate = figures.pick(figures.whole(run), "throughput_items_per_s").obtained
    return (latency_s, rate) if latency_s is not None and rate is not None else None


def _front(points: Sequence[FrontPoint], factor: float) -> dict[str, Any]:
    most = max(p.memory_bytes for p in points) or 1
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plural(len(points), "plan"),
        "x": [p.latency_s * factor for p in points],
        "y": [p.throughput_items_per_s for p in points],
        "hovertext": [_about(p) for p in points],
        "hoverinfo": "text",
        "marker": {
            "size": [max(0, p.memory_bytes) for p in points],
            "sizemode": "area",
            "sizeref": 2 * most / 26**2,
            "sizemin": 4,
            "color": [p.energy_j for p in points],
            "colorscale": "Cividis",
            "reversescale": True,
            "showscale": True,
            "colorbar": {
                "title": {"text": "energy, J/item", "side": "top"},
                "orientation": "h",
                "thickness": 8,
                "len": 0.5,
                "x": 1,
                "xanchor": "right",
                "y": -0.22,
                "yanchor": "top",
                "outlinewidth": 0,
            },
            "opacity": 0.92,
            "line": {"color": MUTED, "width": 0.75},
        },
    }


def _chosen(points: Sequence[FrontPoint], factor: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "chosen",
        "x": [p.latency_s * factor for p in points],
        "y": [p.throughput_items_per_s for p in points],
        "hoverinfo": "skip",
        "marker": {"symbol": "circle-open", "size": 32, "color": ACCENT, "line": {"width": 2.5}},
    }


def _star(run: Run, pair: tuple[float, float], factor: float, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"obtained: {label(run.name, 28)}",
        "x": [pair[0] * factor],
        "y": [pair[1]],
        "hovertext": [
            f"<b>obtained</b> {label(run.name)}<br>{quantity(pair[0], 's')}, {quantity(pair[1], 'items/s')}"
        ],
        "hoverinfo": "text",
        "marker": {"symbol": "star", "size": 15, "color": colour, "line": {"color": "#ffffff", "width": 1}},
    }


def _about(point: FrontPoint) -> str:
    return "<br>".join(
        (
            f"<b>{label(point.label)}</b>{' (chosen)' if point.chosen else ''}",
            f"latency {quantity(point.latency_s, 's')}",
            f"throughput {quantity(point.throughput_items_per_s, 'items/s')}",
            f"most energy on a device {quantity(point.energy_j, 'J')} an item",
            f"most memory on a device {quantity(point.memory_bytes, 'B')}",
        )
    )


def run_colour(index: int) -> str:
    """The colour of the run at `index` in every overlay."""
    return COLOURS[(index + 1) % len(COLOURS)]


def _legend_px(runs: Sequence[Run]) -> int:
    """Room for a legend that stacks on a narrow screen."""
    return 20 * max(0, len(runs) - 3)


def _dash(index: int) -> str:
    return ("solid", "dash", "dot", "dashdot")[index % 4]
