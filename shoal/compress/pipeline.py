"""Techniques over all layers of a network: a smaller model, and what each layer lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.compress.activations import coded_tensors, insert, ranges
from shoal.compress.calibrate import Arrays, Calibration
from shoal.compress.contract import Seen, Technique, Work
from shoal.compress.fold import folded
from shoal.compress.layers import Layer, Matrix, layers_of, weights_of
from shoal.compress.rewrite import OPSET, CodedLayer, rewritten, storable
from shoal.errors import InputError, ModelError
from shoal.formats import Format, make
from shoal.graph import Graph, load, save

if TYPE_CHECKING:
    import onnx_ir as ir


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
    coded: bool  # in the model as codes; else as float32, which ONNX has a type for


@dataclass(frozen=True, eq=False)
class Compressed:
    """The smaller model and its losses."""

    model: ir.Model
    layers: tuple[LayerLoss, ...]
    weights_bytes: int  # of the model as it was
    stored_bytes: int  # of all weights, those of the layers as their formats pack them
    output_error: Mapping[str, float]  # by output: relative, in the L2 norm, on the calibration samples

    @property
    def bits_per_weight(self) -> float:
        """Of all coded layers."""
        sizes = [each.shape[0] * each.shape[1] for each in self.layers]
        total = sum(each.bits_per_weight * size for each, size in zip(self.layers, sizes, strict=True))
        return total / max(1, sum(sizes))


def compress(
    graph: Graph,
    techniques: Sequence[Technique],
    samples: Sequence[Arrays] = (),
    ends: str = "",
    skip: Sequence[str] = (),
    activations: str = "",
    threads: int = 1,
) -> Compressed:
    """`graph` with the weights of its products coded, and its activations if asked.

    Args:
        graph: its opset at least 21 (see `opened`) where codes of whole numbers are to stay codes.
        techniques: applied to each layer one after another; the last one codes.
        samples: inputs by name, of which each layer sees what the coded layers before it make.
        ends: the format of the first and the last layer; "" as all.
        skip: ops that stay as they are.
        activations: "int8": what products and the ops between them read is rounded to eight bits too; "": nothing.
        threads: of the runs on samples.

    Raises:
        InputError: no technique codes, nothing is left to code, an op to skip is unknown, or samples are needed.
    """
    if activations not in ("", "int8"):
        raise InputError(f"activations are not coded as '{activations}'", needed="int8")
    if activations and not samples:
        raise InputError(
            "the ranges of activations are not known", needed="calibration samples", hint="--samples FILE"
        )
    form = _form(techniques)
    layers = _wanted(graph, skip)
    forms = {
        layer.op: make(ends) if ends and layer.op in (layers[0].op, layers[-1].op) else form for layer in layers
    }
    coded: dict[str, CodedLayer] = {}
    lost: list[LayerLoss] = []
    seen: Seen | None = None
    rounded = ranges(graph, coded_tensors(graph, layers), samples, threads) if activations else {}
    calibration = Calibration(graph, samples, threads, rounded) if samples else None
    if calibration is None and any(each.needs_samples for each in techniques):
        raise InputError("a technique looks at activations", where=type(techniques[0]).__name__.lower(),
                         needed="calibration samples", hint="--samples FILE")  # fmt: skip
    walk = calibration.walk(layers) if calibration else ((tuple(layers), None),)
    for together, seen in walk:
        for layer in together:
            wanted = weights_of(graph, layer)
            each = _coded(
                layer,
                wanted,
                [_in(technique, forms[layer.op], form, ends) for technique in techniques],
                forms[layer.op],
                seen,
            )
            coded[layer.op] = each
            lost.append(_loss(each, wanted, seen, ends if forms[layer.op] is not form else _name(techniques)))
            if calibration:
                _replace(calibration.coded, each)
    model = rewritten(graph, coded)
    insert(model, rounded)
    error = _output_error(graph, model, samples, threads) if samples else {}
    before = graph.weights_bytes
    packed = sum(each.form.stored_bits(_part_shape(each.layer)) * each.layer.groups // 8 for each in coded.values())
    plain = sum(4 * each.layer.shape[0] * each.layer.shape[1] for each in coded.values())
    return Compressed(model, tuple(lost), before, before - plain + packed, error)


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
    if had >= OPSET or folder is None:
        return graph
    try:
        newer = onnx.version_converter.convert_version(onnx.load(path), OPSET)
    except (RuntimeError, ValueError) as fault:
        raise ModelError("cannot be brought to a newer opset", where=str(path), needed=f"opset {OPSET}", had=str(had),
                         hint=str(fault).strip().splitlines()[0][:160]) from fault  # fmt: skip
    place = folder / path.name
    onnx.save(newer, place, save_as_external_data=True, location=f"{path.stem}.data", size_threshold=1024)
    return folded(load(place, shapes, sizes))


def _form(techniques: Sequence[Technique]) -> Format:
    coders = [each for each in techniques if hasattr(each, "format")]
    if len(coders) != 1 or coders[0] is not techniques[-1]:
        raise InputError(
            "the last technique, and no other, codes", where="--with", needed="one like gptq or rtn at the end"
        )
    return make(_name(techniques))


def _name(techniques: Sequence[Technique]) -> str:
    return str(getattr(techniques[-1], "format", ""))


def _in(technique: Technique, form: Format, usual: Format, ends: str) -> Technique:
    """The technique, coding in another format where that is wanted."""
    if form is usual or not hasattr(technique, "format"):
        return technique
    return dataclasses.replace(technique, format=ends)  # type: ignore[type-var]


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


def _coded(
    layer: Layer, weights: Matrix, techniques: Sequence[Technique], form: Format, seen: Seen | None
) -> CodedLayer:
    parts = []
    for group, own in enumerate(np.split(weights, layer.groups)):
        work = Work(own, own)
        for technique in techniques:
            work = technique.apply(work, seen, group)
        assert work.coded is not None
        parts.append(work.coded)
    return CodedLayer(layer, form, tuple(parts))


def _replace(graph: Graph, each: CodedLayer) -> None:
    """Have `graph` compute with what is stored."""
    import onnx_ir as ir

    value = graph.model.graph.initializers[each.layer.weight]
    value.const_value = ir.tensor(each.layer.tensor(each.matrix), name=each.layer.weight)


def _loss(each: CodedLayer, wanted: Matrix, seen: Seen | None, name: str) -> LayerLoss:
    lost = each.matrix - wanted
    groups = each.layer.groups
    output = None
    if seen is not None:
        moments = zip(np.split(lost, groups), np.split(wanted, groups), seen.square, strict=True)
        energies = [(_energy(off, square), _energy(own, square)) for off, own, square in moments]
        output = _db(sum(off for off, _ in energies), sum(own for _, own in energies))
    size = each.layer.shape[0] * each.layer.shape[1]
    return LayerLoss(
        each.layer.op, each.layer.kind, name, each.layer.shape,
        each.form.stored_bits(_part_shape(each.layer)) * groups / size,
        _db(float((lost**2).sum()), float((wanted**2).sum())), output, storable(each.form, each.layer),
    )  # fmt: skip


def _part_shape(layer: Layer) -> tuple[int, int]:
    return layer.shape[0] // layer.groups, layer.shape[1]


def _energy(matrix: Matrix, square: NDArray[np.float64]) -> float:
    return float(np.einsum("ri,ij,rj->", matrix, square, matrix, optimize=True))


def _db(lost: float, whole: float) -> float:
    return float(-10 * np.log10(max(lost, 1e-30) / max(whole, 1e-30)))


def _output_error(graph: Graph, model: ir.Model, samples: Sequence[Arrays], threads: int) -> dict[str, float]:
    """Of the smaller model, as onnxruntime runs it."""
    plain, coded = (_answers(each, graph.outputs, samples, threads) for each in (graph, model))
    found: dict[str, float] = {}
    for name in graph.outputs:
        one, other = (
            np.concatenate([np.ravel(each[name]) for each in some]).astype(np.float64) for some in (plain, coded)
        )
        found[name] = float(np.linalg.norm(other - one)) / max(float(np.linalg.norm(one)), 1e-30)
    return found


def _answers(
    model: Graph | ir.Model, names: Sequence[str], samples: Sequence[Arrays], threads: int
) -> list[dict[str, NDArray[np.float32]]]:
    """What it answers to each sample; activations that meet coded weights stay in float32."""
    import onnxruntime

    with TemporaryDirectory(prefix="shoal-") as folder:
        path = Path(folder) / "whole.onnx"
        save(model, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return [dict(zip(names, session.run(list(names), dict(sample)), strict=True)) for sample in samples]
