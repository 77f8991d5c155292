"""Ops of a model under the roofs of the processor that ran them, as one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal import codec
from shoal.report.charts import Chart, axis, label, layout
from shoal.report.html import Charts, document
from shoal.report.palette import COLOURS, MUTED, colours, symbols
from shoal.report.sections import scrolling, section, text
from shoal.report.text import plural, quantity

MOST_KINDS, MOST_ROWS = len(COLOURS) - 1, 15
OTHERS = "others"
LEAST_PX, MOST_PX = 6.0, 30.0  # of marks


@dataclass(frozen=True)
class RooflineOp:
    """An op as it was measured."""

    name: str
    kind: str
    flop: float  # one multiply-accumulate counts two
    bytes: float  # that it reads and writes at least, weights among them
    seconds: float

    @property
    def flop_per_byte(self) -> float:
        """Its intensity."""
        return self.flop / self.bytes


@dataclass(frozen=True)
class RooflineUnit:
    """One engine on one unit."""

    title: str
    ops: tuple[RooflineOp, ...]
    roofs: Mapping[
        str, tuple[tuple[float, float], ...]
    ]  # by the level that feeds it: flop/byte and flop/s, in order

    @property
    def seconds(self) -> float:
        """Of all ops."""
        return sum(each.seconds for each in self.ops)

    @property
    def products(self) -> tuple[RooflineOp, ...]:
        """Ops that a roof says something about."""
        return tuple(each for each in self.ops if each.flop and each.bytes and each.seconds)


def write_roofline_page(model: str, units: Sequence[RooflineUnit], path: Path) -> None:
    """Write the page.

    Raises:
        InputError: the file cannot be written.
    """
    codec.write_bytes(roofline_page(model, units).encode(), path)


def roofline_page(model: str, units: Sequence[RooflineUnit]) -> str:
    """The page, whole."""
    drawn = Charts()
    body = "".join(
        section(
            each.title,
            drawn.place(_chart(each), f"Ops under the roofs of {each.title}") + _table(each),
            _told(each),
        )
        for each in units
    )
    head = (
        f'<header><p class="eyebrow">shoal profile</p><h1>{text(model)}</h1><p class="facts">{_LEAD}</p></header>'
    )
    return document(f"{model}, profiled", head + body, drawn)


_LEAD = (
    '<b class="badge measured">measured</b> each op by the profile of its engine, the roofs by benches. '
    "Bytes are the least an op can move; what a cache still holds may lift it above memory's roof."
)


def _told(unit: RooflineUnit) -> str:
    rest = [each for each in unit.ops if not each.flop]
    share = sum(each.seconds for each in rest) / unit.seconds if unit.seconds else 0.0
    return (
        f"{plural(len(unit.ops), 'op')} in {quantity(unit.seconds, 's')}. {plural(len(rest), 'op')} without products, which "
        f"are not drawn, {'takes' if len(rest) == 1 else 'take'} {share:.0%} of it. Marks grow with an op's time."
    )


def _chart(unit: RooflineUnit) -> Chart | None:
    found = unit.products
    if not found:
        return None
    kinds = _kinds(found)
    tones, shapes, most_s = colours(kinds), symbols(kinds), max(each.seconds for each in found)
    data = [
        {
            "type": "scatter", "mode": "markers", "name": label(kind), "hoverinfo": "text",
            "x": [each.flop_per_byte for each in ops], "y": [each.flop / each.seconds for each in ops],
            "text": [_about(each, unit) for each in ops],
            "marker": {"color": tones[kind], "symbol": shapes[kind], "opacity": 0.75,
                       "size": [max(LEAST_PX, MOST_PX * (each.seconds / most_s) ** 0.5) for each in ops]},
        }
        for kind, ops in kinds.items()
    ]  # fmt: skip
    lines: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "name": f"{label(name)}'s roof", "hoverinfo": "name", "showlegend": False,
            "x": [place for place, _ in line], "y": [most for _, most in line],
            "line": {"color": MUTED, "width": 2 if at == len(unit.roofs) - 1 else 1,
                     "dash": "solid" if at == len(unit.roofs) - 1 else "dot"},
        }
        for at, (name, line) in enumerate(unit.roofs.items())
    ]  # fmt: skip
    names = {
        "type": "scatter", "mode": "text", "hoverinfo": "skip", "showlegend": False, "textposition": "top center",
        "x": [line[len(line) // 2][0] for line in unit.roofs.values()],
        "y": [line[len(line) // 2][1] for line in unit.roofs.values()],
        "text": [label(name) for name in unit.roofs], "textfont": {"color": MUTED},
    }  # fmt: skip
    frame = layout(
        460, xaxis=axis("flop a byte", type="log", exponentformat="SI"), yaxis=axis("flop/s", type="log", exponentformat="SI", dtick="D2"), showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    return {"data": [*data, *lines, names], "layout": frame}


def _kinds(ops: Sequence[RooflineOp]) -> dict[str, list[RooflineOp]]:
    """Ops by kind, those that take longest first; the last of many kinds together."""
    found: dict[str, list[RooflineOp]] = {}
    for each in ops:
        found.setdefault(each.kind, []).append(each)
    order = sorted(found, key=lambda kind: -sum(each.seconds for each in found[kind]))
    shown = {kind: found[kind] for kind in order[:MOST_KINDS]}
    rest = [each for kind in order[MOST_KINDS:] for each in found[kind]]
    return shown | ({OTHERS: rest} if rest else {})


def _about(op: RooflineOp, unit: RooflineUnit) -> str:
    return (
        f"{label(op.name)}<br>{label(op.kind)}, {quantity(op.seconds, 's')}, {op.seconds / unit.seconds:.1%} of all<br>"
        f"{op.flop_per_byte:.3g} flop/B, {op.flop / op.seconds / 1e9:.3g} Gflop/s"
    )


def _table(unit: RooflineUnit) -> str:
    """The dearest ops, products or not."""
    dearest = sorted(unit.ops, key=lambda each: -each.seconds)[:MOST_ROWS]
    heads = "".join(
        f"<th>{head}</th>" for head in ("kind", "time", "of all", "flop/B", "Gflop/s", "of memory's roof")
    )
    rows = "".join(f"<tr><th>{text(each.name)}</th>{_cells(each, unit)}</tr>" for each in dearest)
    return scrolling(f"<thead><tr><th>op</th>{heads}</tr></thead><tbody>{rows}</tbody>")


def _cells(op: RooflineOp, unit: RooflineUnit) -> str:
    cells = [text(op.kind), quantity(op.seconds, "s"), f"{op.seconds / unit.seconds:.1%}"]
    if op.flop and op.bytes and op.seconds:
        reached = op.flop / op.seconds
        most = _under([*unit.roofs.values()][-1], op.flop_per_byte) if unit.roofs else 0.0
        cells += [f"{op.flop_per_byte:.3g}", f"{reached / 1e9:.3g}", f"{reached / most:.0%}" if most else "—"]
    else:
        cells += ["—"] * 3
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _under(line: Sequence[tuple[float, float]], flop_per_byte: float) -> float:
    """A roof at an intensity between its ends: in proportion until the bend."""
    (first, low), (_, top) = line[0], line[-1]
    return min(top, low * flop_per_byte / first)
