"""Runs as one self-contained HTML page: no network, no fonts, no server; opens from a stick in ten years.

Every text from outside is escaped; the page's own policy refuses any script but the three it was written with.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from shoal import codec
from shoal.errors import InputError
from shoal.record import Run
from shoal.report import charts
from shoal.report.carbon import carbon, emitted, told
from shoal.report.charts import Chart
from shoal.report.network import ROW_NARROW, ROW_WIDE, network
from shoal.report.sections import (
    cards,
    comparison,
    device_bars,
    device_table,
    header,
    heading,
    notes,
    plan_table,
    section,
    text,
    title,
)
from shoal.report.timeline import timeline


def write(runs: Sequence[Run], path: Path | str) -> None:
    """Write the page about `runs` to `path`; several are compared first, then shown one by one.

    Raises:
        InputError: no run was given, or the file cannot be written.
    """
    if not runs:
        raise InputError("no run to report")
    codec.write_bytes(page(runs).encode(), Path(path))


def page(runs: Sequence[Run]) -> str:
    """The page about `runs`, whole."""
    drawn = Charts()
    body = _several(runs, drawn) if len(runs) > 1 else _single(runs[0], drawn)
    return document(title(runs), body, drawn)


def document(title: str, body: str, drawn: Charts) -> str:
    """A page of `body` (markup) with its charts; the drawing library is in it only if there are any."""
    scripts = (_plotly(), _resource("page.js")) if drawn else ()
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_resource('page.css')}</style></head>",
            f"<body><main>{body}</main>",
            f'<script type="application/json" id="charts">{drawn.json()}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>",
        )
    )


class Charts:
    """Charts of a page by name, each with its place in the text."""

    def __init__(self) -> None:
        self._charts: dict[str, Chart] = {}

    def __len__(self) -> int:
        return len(self._charts)

    def place(self, chart: Chart | None, about: str, narrow: Chart | None = None) -> str:
        """Keep `chart` (and its form for narrow screens) and return its place; nothing for None."""
        if chart is None:
            return ""
        name = self._keep(chart)
        other = f' data-narrow="{self._keep(narrow)}"' if narrow else ""
        height = chart["layout"]["height"]
        return (
            f'<div class="plot" role="img" aria-label="{escape(about)}" data-chart="{name}"{other} '
            f'style="min-height:{height}px"></div>'
        )

    def json(self) -> str:
        """All charts as JSON that is inert inside a script element."""
        text = codec.encode(self._charts).decode()
        return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")

    def _keep(self, chart: Chart) -> str:
        name = f"chart{len(self._charts)}"
        self._charts[name] = chart
        return name


def _single(run: Run, drawn: Charts) -> str:
    return header(run, heading([run])) + _about(run, drawn, [run])


def _several(runs: Sequence[Run], drawn: Charts) -> str:
    rates = section(
        "Throughput",
        drawn.place(charts.throughputs(runs), "Throughput of each run"),
        "Bar: obtained. Mark: predicted.",
    )
    waits = section(
        "Latency",
        drawn.place(charts.latencies(runs), "Latencies of each run"),
        "Share of the items answered within a time.",
    )
    parts = [
        f"<header>{heading(runs)}</header>",
        section("Side by side", comparison(runs)),
        f'<div class="pair">{rates}{waits}</div>',
        _plans(runs, drawn),
    ]
    for index, run in enumerate(runs):
        inner = header(run) + _about(run, drawn, [])
        parts.append(
            f"<details{' open' if index == 0 else ''}><summary>{index + 1}. {text(run.name)} "
            f"<span>{text(run.model)}</span></summary>{inner}</details>"
        )
    return "".join(parts)


def _about(run: Run, drawn: Charts, planned: Sequence[Run]) -> str:
    graph = drawn.place(
        network(run, ROW_WIDE), "The network, each op coloured by its device", network(run, ROW_NARROW)
    )
    time = drawn.place(timeline(run), "Work of each unit over time")
    return "".join(
        (
            cards(run),
            _plans(planned, drawn) if planned else "",
            section("Devices", device_bars(run), "Bar: obtained. Mark: predicted."),
            _carbon(run, drawn),
            section(
                "Timeline",
                time,
                "A few items in steady state; the number is the item. Thin bars are transfers.",
            ),
            section(
                "Network",
                graph,
                "Ops from the first to the last, in rows that turn like a snake; larger marks compute more. "
                "Dark lines cross between devices.",
            ),
            section("All figures by device", device_table(run)),
            notes(run),
        )
    )


def _carbon(run: Run, drawn: Charts) -> str:
    found = emitted(run)
    if found is None:
        return ""
    return section("Carbon", drawn.place(carbon(run, found), "Carbon of each device"), told(run, found))


def _plans(runs: Sequence[Run], drawn: Charts) -> str:
    chart = drawn.place(charts.plans(runs), "Plans by latency and throughput")
    return section(
        "Plans to choose from",
        chart and chart + plan_table(runs),
        "Each circle is a plan, by its own estimate: larger needs more memory on its fullest device, darker "
        "more energy on its hungriest. Up and to the left is better. Stars are what the runs obtained. Latency is "
        "that of an item alone.",
    )


def _policy(scripts: Sequence[str]) -> str:
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _resource(name: str) -> str:
    return (resources.files("shoal.report") / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """The drawing library as the plotly package ships it."""
    from plotly.offline import get_plotlyjs

    script: Any = get_plotlyjs()
    return str(script).replace("\r\n", "\n")
