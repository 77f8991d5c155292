"""A model in fewer bits as one self-contained page: what it weighs, what each layer lost, how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shoal import codec
from shoal.report import mixes
from shoal.report.charts import Chart, axis, label, layout
from shoal.report.html import Charts, document
from shoal.report.mixes import SmallerMixes
from shoal.report.palette import COLOURS, MUTED, colours
from shoal.report.sections import scrolling, section, text
from shoal.report.text import quantity

MOST_BARS = 120  # layers that a chart shows


@dataclass(frozen=True)
class SmallerLayer:
    """What became of one product."""

    op: str
    kind: str
    format: str
    shape: tuple[int, int]
    bits_per_weight: float
    weight_qsnr_db: float
    output_qsnr_db: float | None  # on the calibration samples
    standard: bool = True  # stored in a type of ONNX
    note: str = ""  # of the techniques

    @property
    def bytes(self) -> float:
        """What is stored of it."""
        return self.shape[0] * self.shape[1] * self.bits_per_weight / 8

    @property
    def lost_db(self) -> float:
        """Signal over error: of the outputs if they were seen, else of the weights."""
        return self.weight_qsnr_db if self.output_qsnr_db is None else self.output_qsnr_db


@dataclass(frozen=True)
class SmallerTensor:
    """A tensor that was divided by scales, and the columns of the layers that read it multiplied."""

    tensor: str
    layers: tuple[str, ...]
    into: tuple[str, ...]  # ops that the division went into; none: an op of its own
    restored: bool  # by an op of its own, for what else reads it
    least: float  # scale
    most: float


@dataclass(frozen=True)
class Timing:
    """One model in one engine on this machine, alone in its process."""

    model: str  # "as it was", "smaller"
    engine: str
    latency_s: float
    low_s: float
    high_s: float
    resident_bytes: int  # beyond a process with the engine's library loaded
    energy_j: float  # time times the machine's stated power


@dataclass(frozen=True)
class Smaller:
    """A compressed model."""

    name: str
    techniques: tuple[str, ...]
    weights_bytes: int
    stored_bytes: int
    bits_per_weight: float
    output_error: dict[str, float]  # by output, relative, on the calibration samples
    layers: tuple[SmallerLayer, ...]
    timings: tuple[Timing, ...] = ()
    equalised: tuple[SmallerTensor, ...] = ()
    mixes: SmallerMixes | None = None  # where formats were chosen layer by layer

    @property
    def equalised_free(self) -> int:
        """Tensors equalised without another op."""
        return sum(bool(each.into) and not each.restored for each in self.equalised)


def write_smaller_page(found: Smaller, path: Path) -> None:
    """Write the page.

    Raises:
        InputError: the file cannot be written.
    """
    codec.write_bytes(smaller_page(found).encode(), path)


def smaller_page(found: Smaller) -> str:
    """The page, whole."""
    charts = Charts()
    seen = all(layer.output_qsnr_db is not None for layer in found.layers)
    what = "Energy of each layer's outputs over that of their error, on the samples" if seen else (
        "Energy of each layer's weights over that of their error; with samples it is that of its outputs"
    )  # fmt: skip
    body = "".join(
        (
            _head(found),
            section("Speed and memory here", _timings(found.timings), "Each alone in a process of its own."),
            "" if found.mixes is None else _mixes(found.mixes, charts),
            section(
                "What each layer lost", charts.place(_losses(found), "Signal over error of each layer"),
                f"{what}. Higher is better; 6 dB are one bit.",
            ),
            section(
                "Where the bytes are", charts.place(_weights(found.layers), "Bytes of each layer before and after"),
                "Weights of each layer as float32, and as stored with their parameters.",
            ),
            section("Layers", _table(found.layers)),
        )
    )  # fmt: skip
    return document(f"{found.name}, smaller", body, charts)


def _mixes(found: SmallerMixes, charts: Charts) -> str:
    return section(
        "Size against loss", charts.place(mixes.size_against_loss(found), "Estimated loss of mixes by their size"),
        mixes.told(found),
    ) + section(
        "What each layer would lose", charts.place(mixes.loss_of_each(found, MOST_BARS), "Loss by layer and format"),
        "Estimated for one layer at a time, all others as they were; the formats that were chosen are ringed.",
    )  # fmt: skip


def _head(found: Smaller) -> str:
    how = " → ".join(text(each) for each in found.techniques)
    rows = [
        ("weights", f"{quantity(found.weights_bytes, 'B')} → {quantity(found.stored_bytes, 'B')}"),
        ("of what it was", f"{found.stored_bytes / max(1, found.weights_bytes):.1%}"),
        ("bits a weight", f"{found.bits_per_weight:.2f} in {len(found.layers)} layers"),
        *(
            (f"error of {name}", f"{error:.2%} of its norm on the samples")
            for name, error in found.output_error.items()
        ),
    ]
    if found.equalised:
        rows.append(
            ("equalised", f"{len(found.equalised)} tensors, {found.equalised_free} of them without another op")
        )
    cells = "".join(f"<tr><th>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in rows)
    return (
        f'<header><p class="eyebrow">shoal compress</p><h1>{text(found.name)}</h1><p class="facts">{how}</p></header>'
        f"{section('In all', scrolling(f'<tbody>{cells}</tbody>'))}"
    )


def _timings(timings: Sequence[Timing]) -> str:
    if not timings:
        return ""
    first = timings[0]
    heads = "".join(
        f"<th>{head}</th>" for head in ("engine", "latency", "quartiles", "against the first", "memory", "energy")
    )
    rows = "".join(
        f"<tr><th>{text(each.model)}</th><td>{text(each.engine)}</td><td>{quantity(each.latency_s, 's')}</td>"
        f"<td>{quantity(each.low_s, 's')} … {quantity(each.high_s, 's')}</td>"
        f"<td>{first.latency_s / each.latency_s:.2f} ×</td><td>{quantity(each.resident_bytes, 'B')}</td>"
        f"<td>{quantity(each.energy_j, 'J')}</td></tr>"
        for each in timings
    )
    badge = (
        '<b class="badge measured">measured</b> latency and memory · <b class="badge modelled">modelled</b> energy'
    )
    return scrolling(f"<thead><tr><th>model</th>{heads}</tr></thead><tbody>{rows}</tbody>") + f"<p>{badge}</p>"


def _losses(found: Smaller) -> Chart:
    shown = _largest(found.layers)
    weighed = () if found.mixes is None else [each.format for each in found.mixes.choices]
    tones = colours(dict.fromkeys((*weighed, *(layer.format for layer in shown))))  # as in the charts above
    used = dict.fromkeys(layer.format for layer in shown)
    data = [
        {
            "type": "bar", "name": label(name), "marker": {"color": tones[name]},
            "x": [label(layer.op) for layer in shown if layer.format == name],
            "y": [layer.lost_db for layer in shown if layer.format == name],
        }
        for name in used
    ]  # fmt: skip
    order = {"categoryorder": "array", "categoryarray": [label(layer.op) for layer in shown]}
    return {"data": data, "layout": _by_layer(axis("dB"), len(used) > 1, order)}


def _weights(layers: Sequence[SmallerLayer]) -> Chart:
    """Points, for sizes differ by orders of magnitude, and bars have no beginning on such an axis."""
    shown = _largest(layers)
    names = [label(layer.op) for layer in shown]
    both = (
        ("as float32", MUTED, "circle-open", [4.0 * layer.shape[0] * layer.shape[1] for layer in shown]),
        ("as stored", COLOURS[0], "circle", [layer.bytes for layer in shown]),
    )
    data = [
        {"type": "scatter", "mode": "markers", "name": name, "x": names, "y": sizes,
         "marker": {"color": colour, "symbol": symbol, "size": 9, "line": {"width": 1.5}}}
        for name, colour, symbol, sizes in both
    ]  # fmt: skip
    bytes_axis = axis("bytes", type="log", dtick="D2", exponentformat="SI")
    return {"data": data, "layout": _by_layer(bytes_axis, True, {})}


def _by_layer(yaxis: Mapping[str, object], legend: bool, order: Mapping[str, object]) -> dict[str, object]:
    return layout(
        360,
        xaxis=axis("", tickangle=-45, type="category", **order),
        yaxis=yaxis,
        showlegend=legend,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        bargap=0.3,
    )


def _largest(layers: Sequence[SmallerLayer]) -> list[SmallerLayer]:
    """The largest, in the network's order."""
    kept = sorted(layers, key=lambda layer: -layer.shape[0] * layer.shape[1])[:MOST_BARS]
    chosen = {layer.op for layer in kept}
    return [layer for layer in layers if layer.op in chosen]


def _table(layers: Sequence[SmallerLayer]) -> str:
    noted = ("note",) if any(layer.note for layer in layers) else ()
    heads = "".join(
        f"<th>{head}</th>" for head in ("kind", "shape", "format", "bits", "weights", "outputs", "stored", *noted)
    )
    rows = "".join(
        f"<tr><th>{text(layer.op)}</th><td>{text(layer.kind)}</td><td>{layer.shape[0]} × {layer.shape[1]}</td>"
        f"<td>{text(layer.format)}</td><td>{layer.bits_per_weight:.3g}</td><td>{layer.weight_qsnr_db:.1f} dB</td>"
        f"<td>{_db(layer.output_qsnr_db)}</td><td>{quantity(layer.bytes, 'B')}</td>"
        + (f"<td>{text(layer.note)}</td></tr>" if noted else "</tr>")
        for layer in layers
    )
    return scrolling(f"<thead><tr><th>op</th>{heads}</tr></thead><tbody>{rows}</tbody>")


def _db(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} dB"
