"""Techniques over all layers of a network: a smaller model, and what each layer lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.compress.activations import KINDS, coded_tensors, insert, ranges
from shoal.compress.calibrate import Arrays, Calibration, check
from shoal.compress.contract import Equaliser, Rounder, Seen, Technique, Turner, Weigher, Work
from shoal.compress.correct import shift, shifted
from shoal.compress.equalise import Equalised, equalise
from shoal.compress.fitting import finite, fitting, sufficient
from shoal.compress.fold import folded
from shoal.compress.inputs import Inputs
from shoal.compress.integers import integer_convolutions
from shoal.compress.kept import keep_float
from shoal.compress.layers import Layer, Matrix, layers_of, weights_of
from shoal.compress.rewrite import CodedLayer, rewritten, standard
from shoal.compress.rotate import turning
from shoal.compress.stretches import answers
from shoal.errors import InputError, ModelError
from shoal.formats import Coded, make
from shoal.graph import Graph, dequantise, load, shelved

if TYPE_CHECKING:
    import onnx_ir as ir


Early = Equaliser | Turner | Rounder


@dataclass(frozen=True)
class LayerLoss:
    """What became of one layer."""

    op: str
    kind: str
    format: str
    shape: tuple[int, int]
    bits_per_weight: float  # with parameters, as the format packs them
    weight_qsnr_db: float
    output_qsnr_db: float | None  # on the calibration samples; none: there were none
    standard: bool  # in the model in a type of ONNX; else packed, for the op shoal.Decode
    note: str = ""  # of the techniques


@dataclass(frozen=True, eq=False)
class Compressed:
    """The smaller model and its losses."""

    model: ir.Model
    layers: tuple[LayerLoss, ...]
    weights_bytes: int  # of the model as it was
    stored_bytes: int  # of all weights, those of the layers as their formats pack them
    output_error: Mapping[str, float]  # by output: relative, in the L2 norm, on the calibration samples
    equalised: tuple[Equalised, ...] = ()  # tensors, in the order in which it was done

    @property
    def bits_per_weight(self) -> float:
        """Of all coded layers."""
        sizes = [each.shape[0] * each.shape[1] for each in self.layers]
        total = sum(each.bits_per_weight * size for each, size in zip(self.layers, sizes, strict=True))
        return total / max(1, sum(sizes))


def compress(
    graph: Graph,
    techniques: Sequence[Technique | Early],
    samples: Sequence[Arrays] = (),
    formats: Mapping[str, str] | None = None,
    skip: Sequence[str] = (),
    activations: str = "",
    threads: int = 1,
    correct: bool = True,
) -> Compressed:
    """`graph` with the weights of its products coded, and its activations if asked.

    One stretch of the network is loaded at a time; what is large beside it (activations of the samples between two layers,
    codes) stands in files that the system reads in as memory allows.

    Args:
        graph: its opset at least 21 (see `opened`) where codes of whole numbers are to stay codes.
        techniques: equalisers and turners of the whole network, and how its products read; then what is applied to each
            layer one after another; the last one codes.
        samples: inputs by name, of which each layer sees what the coded layers before it make.
        formats: of layers, by op, that are coded in another format than the last technique's.
        skip: ops that stay as they are.
        activations: "int8": what products and the ops between them read is rounded to eight bits too;
            "int8-inputs": what products read, while sums stay float32; "fp8": the same, to floating-point numbers
            of eight bits; "": nothing.
        threads: of the runs on samples.
        correct: take what rounding adds to a layer's outputs, in the mean over the samples, off its bias.

    Raises:
        InputError: the techniques' order is wrong or none codes, nothing is left to code, an op to skip is unknown,
            samples are needed or too few, a format does not fit a layer, or weights are not finite.
    """
    _check(techniques, samples, activations)
    if samples:
        check(graph, samples)
    wanted_layers = _wanted(graph, skip)
    chains = {layer.op: _chain(techniques, (formats or {}).get(layer.op, "")) for layer in wanted_layers}
    fitting(wanted_layers, {op: _format(chain) for op, chain in chains.items()})
    finite(graph, wanted_layers)
    was = graph
    graph, equalised = _evened(graph, techniques, chains, samples, threads)
    layers = _wanted(graph, (*skip, *turning(graph)))
    read = coded_tensors(graph, layers, activations) if activations else ()
    rounded = ranges(graph, read, samples, threads, activations) if activations else {}
    inputs = Inputs(graph, layers, next((each for each in techniques if isinstance(each, Rounder)), None))
    calibration = Calibration(graph, samples, threads, rounded, inputs=inputs) if samples else None
    slopes = _slopes(graph, techniques, layers, samples)
    coded: dict[str, CodedLayer] = {}
    lost: list[LayerLoss] = []
    shifts: dict[str, NDArray[np.float64]] = {}
    for together, seen in calibration.walk(layers) if calibration else ((layers, None),):
        for layer in together:
            remark = sufficient(layer, seen, chains[layer.op])
            wanted = weights_of(graph, layer)
            each, note = _coded(layer, wanted, chains[layer.op], seen, slopes.get(layer.op))
            coded[layer.op] = each
            lost.append(
                _loss(each, wanted, seen, "; ".join(filter(None, (inputs.told(layer.input), note, remark))))
            )
            if calibration:
                calibration.replace(each)
            if calibration and seen and correct:
                shifts[layer.op] = shift(layer, wanted, each.matrix, seen)
                shifted(calibration.coded.model, calibration.nodes[layer.op], shifts[layer.op])
    model = rewritten(graph, coded, shifts)
    insert(model, rounded, activations)
    inputs.insert(model)
    keep_float(model)
    integer_convolutions(model)
    error = _output_error(was, model, samples, threads) if samples else {}
    plain = sum(4 * each.layer.shape[0] * each.layer.shape[1] for each in coded.values())
    stored = graph.weights_bytes - plain + sum(each.stored_bits for each in coded.values()) // 8
    return Compressed(model, tuple(lost), was.weights_bytes, stored, error, equalised)


def ends(graph: Graph, name: str, skip: Sequence[str] = ()) -> dict[str, str]:
    """The format `name` for the first and the last layer."""
    layers = _wanted(graph, skip)
    return {layer.op: name for layer in (layers[0], layers[-1])}


def opened(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    sizes: Mapping[str, int] | None = None,
    folder: Path | None = None,
) -> Graph:
    """The model in `path` for `compress`: brought to opset 21 in `folder` if it is older.

    Raises:
        ModelError: it cannot be read, or not be brought there.
    """
    import onnx

    graph = folded(load(path, shapes, sizes))
    had = graph.model.opset_imports[""]
    if had >= dequantise.OPSET or folder is None:
        return graph
    try:
        newer = onnx.version_converter.convert_version(onnx.load(path), dequantise.OPSET)
    except (RuntimeError, ValueError) as fault:
        raise ModelError("cannot be brought to a newer opset", where=str(path), needed=f"opset {dequantise.OPSET}", had=str(had),
                         hint=str(fault).strip().splitlines()[0][:160]) from fault  # fmt: skip
    place = folder / path.name
    onnx.save(newer, place, save_as_external_data=True, location=f"{path.stem}.data", size_threshold=1024)
    return folded(load(place, shapes, sizes))


def _check(techniques: Sequence[Technique | Early], samples: Sequence[Arrays], activations: str) -> None:
    early = [isinstance(each, Early) for each in techniques]
    if early != sorted(early, reverse=True):
        late = type(techniques[len(early) - 1 - early[::-1].index(True)]).__name__.lower()
        raise InputError(f"{late} works on the whole network, before all that works on single layers", where="--with",
                         hint=f"--with {late} first")  # fmt: skip
    coders = [each for each in techniques if hasattr(each, "format")]
    if len(coders) != 1 or coders[0] is not techniques[-1]:
        raise InputError(
            "the last technique, and no other, codes", where="--with", needed="one like gptq or rtn at the end"
        )
    rounders = [type(each).__name__.lower() for each in techniques if isinstance(each, Rounder)]
    if len(rounders) + bool(activations) > 1:
        raise InputError("what products read can be rounded in one way only", where="--with",
                         had=", ".join([*rounders, *filter(None, [activations])]))  # fmt: skip
    if activations not in ("", *KINDS):
        raise InputError(f"activations are not coded as '{activations}'", needed=" or ".join(KINDS))
    curious = next((type(each).__name__.lower() for each in techniques if each.needs_samples), "")
    if not samples and (activations or curious):
        what = f"{curious} looks at activations" if curious else "the ranges of activations are not known"
        raise InputError(what, needed="calibration samples", hint="--samples FILE")


def _chain(techniques: Sequence[Technique | Early], name: str) -> tuple[Technique, ...]:
    """What is applied to a layer, the last one coding in the format `name`, if there is one."""
    *before, last = (each for each in techniques if not isinstance(each, Early))
    chosen = dataclasses.replace(last, format=name) if name else last  # type: ignore[type-var]
    make(chosen.format)  # type: ignore[attr-defined]  # it may be a wrong one
    return (*before, chosen)


def _evened(
    graph: Graph,
    techniques: Sequence[Technique | Early],
    chains: Mapping[str, Sequence[Technique]],
    samples: Sequence[Arrays],
    threads: int,
) -> tuple[Graph, tuple[Equalised, ...]]:
    """The graph after all that is done to the whole of it."""
    formats = {op: _format(chain) for op, chain in chains.items()}
    told: tuple[Equalised, ...] = ()
    for technique in techniques:
        if isinstance(technique, Equaliser):
            graph, more = equalise(graph, technique, formats, samples, threads)
            told += more
        elif isinstance(technique, Turner):
            graph = technique.turned(graph, [layer for layer in layers_of(graph) if layer.op in formats])
    return graph, told


def _format(chain: Sequence[Technique]) -> str:
    """The format that the last technique codes in."""
    return str(getattr(chain[-1], "format", ""))


def _wanted(graph: Graph, skip: Sequence[str]) -> tuple[Layer, ...]:
    layers = layers_of(graph)
    known = {layer.op for layer in layers}
    unknown = [name for name in skip if name not in known]
    if unknown:
        raise InputError(f"no product is called '{unknown[0]}'", where="--skip", had=", ".join(sorted(known)[:8]))
    left = tuple(layer for layer in layers if layer.op not in skip)
    if not left:
        raise InputError("the model has no product with float32 weights to code", where=graph.source)
    return left


def _slopes(
    graph: Graph, techniques: Sequence[Technique | Early], layers: Sequence[Layer], samples: Sequence[Arrays]
) -> Mapping[str, NDArray[np.float64]]:
    """What errors in the layers' outputs do, where a technique asks for it."""
    for each in techniques:
        if isinstance(each, Weigher):
            return each.slopes(graph, layers, samples)
    return {}


def _coded(
    layer: Layer,
    weights: Matrix,
    chain: Sequence[Technique],
    seen: Seen | None,
    slopes: NDArray[np.float64] | None,
) -> tuple[CodedLayer, str]:
    """The layer's codes, and what the techniques tell of it."""
    parts, notes, rows = [], [], len(weights) // layer.groups
    for group, own in enumerate(np.split(weights, layer.groups)):
        span = slice(group * rows, (group + 1) * rows)
        work = Work(own, wanted=own, slopes=None if slopes is None else slopes[span, span])
        for technique in chain:
            work = technique.apply(work, seen, group)
        assert work.coded is not None
        parts.append(Coded(shelved(work.coded.codes), work.coded.params))
        notes.append(work.note)
    name = _format(chain)
    return CodedLayer(layer, name, make(name), tuple(parts)), "; ".join(filter(None, notes))


def _loss(each: CodedLayer, wanted: Matrix, seen: Seen | None, note: str) -> LayerLoss:
    lost, layer = each.matrix - wanted, each.layer
    output = None
    if seen is not None:
        parts = [(np.split(matrix, layer.groups)) for matrix in (lost, wanted)]
        off, own = (sum(seen.energy(part, group) for group, part in enumerate(some)) for some in parts)
        output = _db(off, own)
    return LayerLoss(
        layer.op, layer.kind, each.format, layer.shape, each.stored_bits / (layer.shape[0] * layer.shape[1]),
        _db(float((lost**2).sum()), float((wanted**2).sum())), output, standard(each.form, layer), note,
    )  # fmt: skip


def _db(lost: float, whole: float) -> float:
    return float(-10 * np.log10(max(lost, 1e-30) / max(whole, 1e-30)))


def _output_error(graph: Graph, model: ir.Model, samples: Sequence[Arrays], threads: int) -> dict[str, float]:
    """Of the smaller model, as onnxruntime runs it."""
    plain, coded = (answers(each, graph.outputs, samples, threads) for each in (graph.model, model))
    found: dict[str, float] = {}
    for name in graph.outputs:
        one, other = (
            np.concatenate([np.ravel(each[name]) for each in some]).astype(np.float64) for some in (plain, coded)
        )
        found[name] = float(np.linalg.norm(other - one)) / max(float(np.linalg.norm(one)), 1e-30)
    return found
