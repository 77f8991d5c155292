"""What the study of FP-diffusion shows of formats by themselves: what they lose of weights, and what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from shoal import formats
from shoal.compress import compress, layers_of, spread, weights_of
from shoal.compress.activations import FLOATS, coded_tensors, ranges
from shoal.compress.float8 import FloatRange
from shoal.compress.techniques.rtn import Rtn
from shoal.errors import InputError
from shoal.formats import quantise, restored
from shoal.formats.split import Split
from shoal.graph import Graph, decode
from shoal.study._fp_diffusion_drawn import Drawn
from shoal.study._fp_diffusion_lab import F32, FP, SETTINGS, Lab, Samples
from shoal.study._unet import ENDS
from shoal.study.contract import Cell, Finding, Note, Shown, Table

FOUR = ("int4s", "fp4", "int4st", "fp4t")
METADATA_BITS = 16 + 2  # of a scale and a split


def weights(lab: Lab, samples: Samples) -> Iterator[Shown]:
    """What four bits lose of the weights by themselves, which splits they take, and those of the activations."""
    layers = layers_of(lab.graph)
    read = ranges(lab.graph, coded_tensors(lab.graph, layers, FLOATS), samples, kind=FLOATS)
    rows: list[tuple[Cell, ...]] = []
    worst = 0.0
    for layer in layers:
        matrix, given = weights_of(lab.graph, layer), read[layer.input]
        assert isinstance(given, FloatRange)
        lost = [_lost(name, matrix) for name in FOUR]
        worst = max(worst, float((lost[1] / np.maximum(lost[0], 1e-30)).max()))
        figures = [float(-10 * np.log10(max(each.sum(), 1e-30) / (matrix**2).sum())) for each in lost]
        four, eight = (_taken("fp8" if layer.op in ENDS else name, matrix) for name in ("fp4", "fp8"))
        split = f"e{given.exponent}m{given.mantissa} to {given.most:.3g}"
        rows.append((layer.op, *layer.shape, crest(matrix), *figures, *four, eight[0], split))
    columns = ("layer", "rows", "columns", "crest factor", "INT4, dB", "FP4, dB", "INT4 a tensor, dB", "FP4 a tensor, dB",
               "splits as coded", "to share of largest", "splits of FP8", "split of its input")  # fmt: skip
    yield Table("Weights by themselves, rounded to the nearest", columns, rows,
                f"crest factor: largest weight of a row over its RMS, mean; {', '.join(ENDS)} are coded in eight bits; "
                "a row's largest value is stated over its largest weight, mean")  # fmt: skip
    yield Finding("no_worse", worst, "computed", sum(layer.shape[0] for layer in layers))
    coded = {layer.op for layer in layers}
    left = Counter(op.kind for op in lab.graph.ops if op.name not in coded)
    told = ", ".join(f"{count} {kind}" for kind, count in left.most_common())
    yield Note(f"Coded: weights and inputs of {len(layers)} convolutions. In float32: their sums, and {told}.")


def refused(graph: Graph) -> Finding:
    """Whether what makes no sense is told apart."""
    acts: tuple[Callable[[], object], ...] = (
        lambda: Split(4, splits="e2m2"),
        lambda: Split(4, least=0.0),
        lambda: compress(graph, [Rtn("fp4")], (), activations=FP),
        lambda: spread(50, 0),
    )
    return Finding("refused", all(map(_refuses, acts)), "computed", len(acts))


def packed(run: Drawn) -> Finding:
    """All weights of the settings in floating-point numbers, as their files hold them."""
    held = [
        decode.packed_of(node)
        for name, each in run.outcomes.items()
        if SETTINGS[name].activations == FP
        for node in each.coded.model.graph
        if decode.is_decode(node)
    ]
    return Finding("packed", all(map(_holds, held)), "computed", sum(each.matrix.size for each in held))


def crest(matrix: F32) -> float:
    """The largest magnitude of a row over its RMS, mean of the rows."""
    return fmean(float(np.abs(row).max() / max(float(np.sqrt((row**2).mean())), 1e-30)) for row in matrix)


def _holds(each: decode.Packed) -> bool:
    """Whether what is stored is on the grid, as large as stated, and the same once packed and unpacked."""
    form = each.form
    assert isinstance(form, Split)
    for part in each.parts:
        streams, made = form.pack(part), restored(form, part)
        bits = 8 * sum(stream.size for stream in streams.values())
        stated = part.codes.size * form.bits + part.params["scales"].size * METADATA_BITS
        alike = np.array_equal(restored(form, form.unpack(streams, part.codes.shape)), made)
        on_grid = np.array_equal(form.decode(form.assign(made, part.params), part.params), made)
        if not (alike and on_grid and stated <= bits < stated + 16 and bits == form.stored_bits(part.codes.shape)):
            return False
    return True


def _lost(name: str, matrix: F32) -> NDArray[np.float64]:
    """The squared error of each row."""
    form = formats.make(name)
    off = restored(form, quantise(form, matrix)).astype(np.float64) - matrix
    found: NDArray[np.float64] = (off**2).sum(axis=1)
    return found


def _taken(name: str, matrix: F32) -> tuple[str, float]:
    """The splits that rows take, "e1m2 12, e2m1 28", and the mean of the largest values over the rows' largest weights."""
    form = formats.make(name)
    assert isinstance(form, Split)
    params = form.fit(matrix)
    most = params["scales"] * np.array([grid.most for grid in form.grids])[params["splits"]]
    share = float((most[:, 0] / np.maximum(np.abs(matrix).max(axis=1), 1e-30)).mean())
    return ", ".join(f"{each} {count}" for each, count in form.chosen(params).items() if count), share


def _refuses(act: Callable[[], object]) -> bool:
    try:
        act()
    except InputError:
        return True
    return False
