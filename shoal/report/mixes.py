"""Where formats were chosen layer by layer: how size trades against loss, and what each layer would lose in each format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shoal.report.charts import Chart, axis, label, layout
from shoal.report.palette import ACCENT, COLOURS, INK, colours, symbols
from shoal.report.text import quantity

MIB = 1 << 20


@dataclass(frozen=True)
class SmallerMix:
    """Formats for all layers, as they were estimated."""

    name: str  # of the format, where it is one in all layers; "": a mix
    stored_bytes: float  # of all weights
    loss: float  # as the measure counts, added up over the layers


@dataclass(frozen=True)
class SmallerChoice:
    """What a layer would lose in a format."""

    op: str
    format: str
    loss: float
    chosen: bool


@dataclass(frozen=True)
class SmallerMixes:
    """All that was weighed."""

    measure: str  # of the losses: "output"
    chosen: SmallerMix
    uniform: tuple[SmallerMix, ...]
    frontier: tuple[SmallerMix, ...]  # the least loss for each size
    choices: tuple[SmallerChoice, ...]


def size_against_loss(found: SmallerMixes) -> Chart:
    """The mixes that lose least, the formats by themselves, and what was chosen."""
    data = [
        _points("least loss for the size", found.frontier, COLOURS[0], mode="lines+markers", size=6),
        _points("one format in all layers", found.uniform, INK, mode="markers+text", size=9, symbol="diamond"),
        _points("chosen", [found.chosen], ACCENT, mode="markers", size=20, symbol="circle-open", width=2.5),
    ]
    frame = layout(
        380, xaxis=axis("weights of the model, MiB", rangemode="tozero"),
        yaxis=_loss_axis(found), showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    return {"data": data, "layout": frame}


def loss_of_each(found: SmallerMixes, most: int) -> Chart:
    """A mark for each layer and format, those chosen ringed; of so many layers at most, those that may lose most."""
    worst: dict[str, float] = {}
    for each in found.choices:
        worst[each.op] = max(worst.get(each.op, 0.0), each.loss)
    shown = set(sorted(worst, key=lambda op: -worst[op])[:most])
    some = [each for each in found.choices if each.op in shown and each.loss > 0]
    names = dict.fromkeys(each.format for each in some)
    every = dict.fromkeys(each.format for each in found.choices)
    shapes, tones = symbols(every), colours(every)
    data = [
        _marks(name, [each for each in some if each.format == name], color=tones[name], symbol=shapes[name], size=8)
        for name in names
    ]
    rings = {"symbol": "circle-open", "size": 15, "color": ACCENT, "line": {"width": 1.5}}
    data.append(_marks("chosen", [each for each in some if each.chosen], **rings))
    order = [label(op) for op in worst if op in shown]
    frame = layout(
        400,
        xaxis=axis("", tickangle=-45, type="category", categoryorder="array", categoryarray=order),
        yaxis=_loss_axis(found),
        showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    return {"data": data, "layout": frame}


def told(found: SmallerMixes) -> str:
    """What stands above the first chart."""
    own = found.chosen
    better = [each for each in found.uniform if each.stored_bytes <= own.stored_bytes * 1.001]
    nearest = max(better, key=lambda each: each.stored_bytes, default=None)
    beside = ""
    if nearest is not None and own.loss > 0:
        beside = f"; {nearest.name} everywhere takes {quantity(nearest.stored_bytes, 'B')} and loses {nearest.loss / own.loss:.2g} times as much"
    return (
        f"{len(found.frontier)} mixes that lose least for their size. Chosen: "
        f"{quantity(own.stored_bytes, 'B')}{beside}. Losses are estimated layer by layer and added up."
    )


def _loss_axis(found: SmallerMixes) -> dict[str, Any]:
    return axis(f"estimated loss ({found.measure})", type="log", dtick=1, exponentformat="power")


def _points(
    name: str,
    mixes: Sequence[SmallerMix],
    colour: str,
    *,
    mode: str,
    size: int,
    symbol: str = "circle",
    width: float = 1.5,
) -> dict[str, Any]:
    drawn = [each for each in mixes if each.loss > 0]  # a logarithm has no zero
    return {
        "type": "scatter", "mode": mode, "name": name,
        "x": [each.stored_bytes / MIB for each in drawn], "y": [each.loss for each in drawn],
        "text": [label(each.name) for each in drawn], "textposition": "top right",
        "hovertext": [_about(each) for each in drawn], "hoverinfo": "text",
        "line": {"color": colour, "width": width},
        "marker": {"color": colour, "size": size, "symbol": symbol, "line": {"width": width, "color": colour}},
    }  # fmt: skip


def _marks(name: str, some: Sequence[SmallerChoice], **marker: Any) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": label(name), "marker": marker,
        "x": [label(each.op) for each in some], "y": [each.loss for each in some],
        "hovertemplate": "%{x}: %{y:.3g}",
    }  # fmt: skip


def _about(mix: SmallerMix) -> str:
    name = f"<b>{label(mix.name)}</b><br>" if mix.name else ""
    return f"{name}{quantity(mix.stored_bytes, 'B')}<br>estimated loss {mix.loss:.3g}"
