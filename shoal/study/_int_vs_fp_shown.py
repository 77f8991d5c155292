"""Tables, charts and figures of the study of whole against floating-point numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from shoal.formats import make
from shoal.formats.composers.rotate import rotated
from shoal.machines import Cells, energy, mac_cost, operation
from shoal.study._blocks import Lost, binned, product_db, theory
from shoal.study._operands import Operands
from shoal.study.contract import Cell, Chart, Finding, Series, Table

FORMATS = ("mxint8", "mxfp8", "mxint6", "mxfp6", "mxint4", "mxfp4", "nvint4", "nvfp4")
NV = ("nvint4", "nvfp4")
EDGES = np.arange(1.25, 6.0, 0.25)  # of crest factors
CLOSE_DB = 2.0
SMALL_MUX = 0.35  # full adders: what shifters are made of, smaller than in the library that is taken
Losses = Mapping[tuple[str, str, str], Lost]  # by layer, operand and format
Gap = tuple[str, float, float]  # model; NVINT4 − NVFP4 of a product, as it is and rotated


def lead(each: Operands, size: int | None, seed: int) -> float:
    """QSNR of the product in NVINT4 − in NVFP4, dB; both operands turned first if there is a size."""
    x, w = (each.x, each.w) if size is None else (rotated(matrix, size, seed) for matrix in (each.x, each.w))
    return product_db("nvint4", x, w) - product_db("nvfp4", x, w)


def lost_table(every: Mapping[str, Losses]) -> Table:
    """What each format loses of each model's operands, on average."""
    rows: list[tuple[Cell, ...]] = []
    for model, losses in every.items():
        for side in ("x", "w"):
            for name in FORMATS:
                own = [each for (_, where, form), each in losses.items() if (where, form) == (side, name)]
                if not own:
                    continue
                said = [float(theory(name, each.crests).mean()) for each in own]
                crests = [float(each.crests.mean()) for each in own]
                means = [each.mean_db for each in own]
                wholes = [each.whole_db for each in own]
                rows.append((model, side, name, len(own), *map(fmean, (crests, means, said, wholes))))
    return Table(
        "QSNR of activations (x) and weights (w)",
        ("model", "of", "format", "layers", "crest factor", "blocks, dB", "theory, dB", "whole, dB"),
        rows,
        note="blocks: mean of the blocks' dB; whole: dB of the mean error, in which large blocks count more",
    )


def close(every: Mapping[str, Losses]) -> Finding:
    """The share of operands whose blocks lose what theory says."""
    near: dict[str, list[bool]] = {name: [] for name in FORMATS}
    for losses in every.values():
        for (_, _, name), each in losses.items():
            near[name].append(bool(abs(each.mean_db - theory(name, each.crests).mean()) <= CLOSE_DB))
    shares = [100 * float(np.mean(each)) for each in near.values()]
    n = sum(map(len, near.values()))
    why = "layers' x and w in eight formats, mean over blocks; interval: formats"
    return Finding("theory", float(np.mean(shares)), "measured", n, (min(shares), max(shares)), why)


def int8_wins(every: Mapping[str, Losses]) -> Finding:
    """The share of operands of which MXINT8 loses less than MXFP8, of the whole matrix."""
    wins = [
        each.whole_db > losses[layer, side, "mxfp8"].whole_db
        for losses in every.values()
        for (layer, side, name), each in losses.items()
        if name == "mxint8"
    ]
    return Finding("int8", 100 * float(np.mean(wins)), "measured", len(wins))


def charts(every: Mapping[str, Losses]) -> Iterator[Chart]:
    """QSNR over crest factors: what theory says and what the blocks really lose."""
    parts = {name: [each for losses in every.values() for (_, _, form), each in losses.items() if form == name]
             for name in FORMATS}  # fmt: skip
    for title, names in (("eight bits", FORMATS[:2]), ("six bits", FORMATS[2:4]), ("four bits", FORMATS[4:])):
        series = []
        for name in names:
            lines = EDGES[(4 if name in NV else 32**0.5) >= EDGES]
            series.append(Series(f"{name}, theory", lines.tolist(), theory(name, lines).tolist()))
            series.append(Series(f"{name}, blocks", *binned(parts[name], EDGES)))
        yield Chart(
            f"QSNR by crest factor, {title}", "crest factor of a block", "QSNR, dB", tuple(series),
            note="blocks of all models, activations and weights, by crest factors within 0.25",
        )  # fmt: skip


def gaps_row(name: str, rows: Sequence[Gap]) -> tuple[str | int | float, ...]:
    """A model's products: how many, mean gap and share above zero, as they are and rotated."""
    plain, turned = (np.array([row[at] for row in rows]) for at in (1, 2))
    wins = [float((each > 0).mean() * 100) for each in (plain, turned)]
    return name, len(rows), float(plain.mean()), wins[0], float(turned.mean()), wins[1]


def quartiles(values: NDArray[np.float64]) -> tuple[float, float]:
    """The first and the third."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(low), float(high)


def gates(names: Sequence[str]) -> Table:
    """Every part of a multiply-add."""
    costs = {name: mac_cost(make(name)) for name in names}
    first = costs["mxfp8"].area
    return Table(
        "Gates of a multiply-add: areas in full adders, energy at 45 nm",
        ("format", *costs["mxfp8"].parts, "area", "× MXFP8", "pJ"),
        [
            (name, *each.parts.values(), each.area, each.area / first, each.energy_j() * 1e12)
            for name, each in costs.items()
        ],
        note="published, × MXFP8: area 0.79 MXINT8, 0.54 NVFP4, 0.38 NVINT4; energy 0.63, 0.55, 0.34",
    )


def area(name: str) -> Finding:
    """Of a multiply-add in the format, of that in MXFP8."""
    why = f"cells of SkyWater's 130 nm library; the other end: a mux of {SMALL_MUX} full adders instead of 0.56"
    return _both(f"area_{name}", lambda cells: _area(name, cells) / _area("mxfp8", cells), why)


def saved(key: str, whole: str, floating: str) -> Finding:
    """By how many per cent a multiply-add of whole numbers takes less energy."""
    why = (
        "energy is a fixed multiple of area here, and the published one is not: its cells' energies are a closed "
        "library's; the interval is that of the areas"
    )
    return _both(key, lambda cells: 100 * (1 - _area(whole, cells) / _area(floating, cells)), why)


def _both(key: str, figure: Callable[[Cells], float], why: str) -> Finding:
    """The figure, and how far it is off with small muxes."""
    found, other = figure(Cells()), figure(Cells(mux=SMALL_MUX))
    return Finding(key, found, "computed", interval=(min(found, other), max(found, other)), why=why)


def _area(name: str, cells: Cells) -> float:
    return mac_cost(make(name), cells).area


def against_table() -> Table:
    """Single operations by gate counts, and as published."""
    cells = Cells()
    eight = energy("int", "mul", 8)
    unit_j = eight.energy_j / operation("int", "mul", 8, cells)
    rows = []
    for item, op, bits in (("int", "add", 8), ("int", "mul", 32), ("int", "add", 32), ("float", "mul", 16),
                           ("float", "add", 16), ("float", "mul", 32), ("float", "add", 32)):  # fmt: skip
        known = energy(item, op, bits)
        counted = operation(item, op, bits, cells) * unit_j
        rows.append((f"{item}{bits} {op}", counted * 1e12, known.energy_j * 1e12, counted / known.energy_j))
    return Table(
        "Gate counts against published energies, 45 nm", ("operation", "counted, pJ", "published, pJ", "ratio"), rows,
        note=f"{eight.source}; int8 mul sets the scale. What the counts leave out (rounding, signs, registers) weighs "
        "more in floating-point units",
    )  # fmt: skip
