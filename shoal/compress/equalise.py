"""Scales by channel moved between a tensor and the layers that read it: W·diag(s) reads x/s, and the network stays the same.

What is large in one and small in the other becomes alike, so that both lose less in few bits. The division goes into the
ops that make the tensor where they can take it up (see `equalise_absorb`); what else reads the tensor then has it
multiplied back. Where they cannot, one Div stands before the layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.compress.calibrate import Arrays, Calibration
from shoal.compress.contract import Equaliser, Reading, Scales
from shoal.compress.equalise_absorb import absorbed
from shoal.compress.layers import Layer, layers_of, weights_of
from shoal.formats import make
from shoal.graph import Graph, access
from shoal.graph.build import from_model
from shoal.graph.tidy import drop_dead, label

if TYPE_CHECKING:
    import onnx_ir as ir

Key = tuple[str, bool, int]  # the tensor, whether its channels stand first, how many


@dataclass(frozen=True)
class Equalised:
    """What became of one tensor."""

    tensor: str
    layers: tuple[str, ...]  # ops that read it and had their columns multiplied by the scales
    into: tuple[str, ...]  # ops whose constants were divided by them; none: a Div before the layers does it
    restored: bool  # others read it too: for them it is multiplied back
    least: float  # scale
    most: float


def equalise(
    graph: Graph, technique: Equaliser, formats: Mapping[str, str], samples: Sequence[Arrays], threads: int = 1
) -> tuple[Graph, tuple[Equalised, ...]]:
    """A graph with the same answers whose layers are easier to code, and what was done.

    Args:
        graph: what to change.
        technique: finds the scales.
        formats: what the layers to change will be coded in, by op.
        samples: inputs by name.
        threads: of the runs on samples.

    Raises:
        InputError: samples are missing or of the wrong shape, or a format does not fit its layer.
    """
    layers = tuple(layer for layer in layers_of(graph) if layer.op in formats)
    model = graph.model.clone()
    nodes = {label(node): node for node in model.graph}
    told = [
        _moved(model, [(nodes[layer.op], layer) for layer in together], scales)
        for together, scales in _scales(graph, technique, layers, formats, samples, threads)
        if (scales != 1).any()
    ]
    drop_dead(model.graph)
    found = from_model(model, graph.name, graph.source, graph.sha256)
    return replace(found, carried=graph.carried, inputs=graph.inputs, outputs=graph.outputs), tuple(told)


def _scales(
    graph: Graph,
    technique: Equaliser,
    layers: Sequence[Layer],
    formats: Mapping[str, str],
    samples: Sequence[Arrays],
    threads: int,
) -> Iterator[tuple[tuple[Layer, ...], Scales]]:
    """Those layers that read one tensor, and its scales; what they saw is kept no longer than until the last is there."""
    expected = Counter(map(_key, layers))
    waiting: dict[Key, list[tuple[Layer, Reading]]] = {}
    for together, seen in Calibration(graph, samples, threads, alone=True).walk(layers):
        key = _key(together[0])
        waiting.setdefault(key, []).extend(
            (layer, Reading(weights_of(graph, layer), seen, _channels(layer), make(formats[layer.op])))
            for layer in together
        )
        if len(waiting[key]) < expected[key]:
            continue
        readers, readings = zip(*waiting.pop(key), strict=True)
        found = technique.scales(readings)
        if found.shape != (key[-1],) or not (np.isfinite(found).all() and (found > 0).all()):
            raise ValueError(f"{type(technique).__name__} gave no positive scale for each channel of '{key[0]}'")
        yield readers, found


def _key(layer: Layer) -> Key:
    return layer.input, layer.kind == "Conv", int(_channels(layer).max()) + 1


def _channels(layer: Layer) -> NDArray[np.intp]:
    """The channel of the input that each column of each group is of: (groups, columns)."""
    columns, places = layer.shape[1], prod(layer.kernel)
    first = np.arange(layer.groups)[:, None] * (columns // places)
    return first + np.arange(columns) // places


def _moved(model: ir.Model, readers: Sequence[tuple[ir.Node, Layer]], scales: Scales) -> Equalised:
    """Divide what the layers read by the scales, and multiply their columns; in place."""
    value, conv = readers[0][0].inputs[0], readers[0][1].kind == "Conv"
    assert value is not None
    name, rank = access.name(value), len(access.dims(value))
    factor = scales.reshape([-1 if axis == (1 if conv else rank - 1) else 1 for axis in range(rank)])
    own = [(node, 0) for node, _ in readers]
    others = [(use.node, use.idx) for use in value.uses() if (use.node, use.idx) not in own]
    edits = None if value.is_graph_output() else absorbed(value, 1 / factor)
    if edits is None:
        # Not a Mul: with --activations its input would be rounded to eight bits before it is made even.
        _through(model, "Div", value, own, factor)
    elif others:
        _through(model, "Mul", value, others, factor)
    for edit in edits or ():
        _put(model, edit.node, edit.index, edit.array)
    for node, layer in readers:
        rows = layer.matrix(access.data(node.inputs[1]).numpy()).reshape(layer.groups, -1, layer.shape[1])
        _put(model, node, 1, layer.tensor((rows * scales[_channels(layer)][:, None]).reshape(layer.shape)))
    into = tuple(dict.fromkeys(label(edit.node) for edit in edits or ()))
    return Equalised(name, tuple(layer.op for _, layer in readers), into, edits is not None and bool(others),
                     float(scales.min()), float(scales.max()))  # fmt: skip


def _put(model: ir.Model, node: ir.Node, index: int, array: NDArray[np.floating]) -> None:
    """Let `node` read this constant; the one it had may have other readers."""
    node.replace_input_with(index, _fresh(model, f"{label(node)}.{index}.even", array))


def _through(
    model: ir.Model, kind: str, value: ir.Value, uses: Sequence[tuple[ir.Node, int]], factor: NDArray[np.float64]
) -> None:
    """Let these read the value times the factor, or divided by it."""
    import onnx_ir as ir

    scales = _fresh(model, f"{value.name}.scales", factor)
    made = ir.node(kind, [value, scales], name=f"{scales.name}.{kind}")
    out = made.outputs[0]
    out.name, out.type, out.shape = f"{made.name}.out", value.type, value.shape
    producer = value.producer()
    if producer is None:
        model.graph.insert_before(model.graph[0], made)
    else:
        model.graph.insert_after(producer, made)
    for node, index in uses:
        node.replace_input_with(index, out)


def _fresh(model: ir.Model, name: str, array: NDArray[np.floating]) -> ir.Value:
    """A new float32 weight; a name that is taken gets a stroke."""
    while name in model.graph.initializers:
        name += "'"
    return access.constant(model, name, array.astype(np.float32))
