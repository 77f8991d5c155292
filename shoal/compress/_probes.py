"""Models of one op each, to be timed: the op as it stands in the compressed network, several times over."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.compress.activations import PASSING, Range, coded_tensors, insert
from shoal.compress.layers import Layer, layers_of, weights_of
from shoal.compress.rewrite import CodedLayer, rewritten
from shoal.engines import onnxruntime_form
from shoal.formats import make, quantise
from shoal.formats.integer import Integer
from shoal.graph import Graph, access, extract, save
from shoal.graph.build import from_model
from shoal.graph.tidy import label

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

FLOAT = "float32"  # a layer as it is
MOST_COPIES = 32
MOST_BYTES = 128 << 20  # of a file's weights and activations
POSITIVE, SIGNED = Range(6 / 255, 0), Range(8 / 255, 128)


@dataclass(frozen=True)
class Rest:
    """All ops that are no layer, timed together."""

    ops: tuple[str, ...]
    ranges: Mapping[str, Range]  # of the tensors within and around them that are codes; made up

    layer = None
    signature = "rest"


@dataclass(frozen=True)
class Unit:
    """A layer and its activation function, timed together."""

    ops: tuple[str, ...]
    layer: Layer
    signature: str
    ranges: Mapping[str, Range]


def units_of(graph: Graph, activations: str) -> tuple[tuple[Unit, ...], Rest | None]:
    """The layers of the graph, each with the activation function that alone reads it; and the rest, if there is any."""
    layers = layers_of(graph)
    coded = coded_tensors(graph, layers) if activations else ()
    found = tuple(_unit(graph, layer, coded) for layer in layers)
    inside = {op for unit in found for op in unit.ops}
    others = tuple(op.name for op in graph.ops if op.name not in inside)
    return found, Rest(others, _ranges(graph, others, coded)) if others else None


def kernel_of(layer: Layer, name: str, engine: str = "onnxruntime") -> str:
    """What formats have in common that run alike in the engine: those that it has no kernel for run as float32."""
    form = None if name == FLOAT else make(name)
    if form is None or (engine != "native" and not isinstance(form, Integer)):
        return FLOAT
    if engine == "native" and layer.kind != "Conv":
        return name
    if not isinstance(form, Integer) or (form.group > 0 and layer.kind == "Conv"):
        return FLOAT
    kind = f"{4 if form.bits <= 4 else 8} bits{' affine' * form.affine}"
    return f"{kind}, groups of {form.group}" if form.group > 0 else kind


def write(
    graph: Graph, unit: Unit | Rest, name: str, path: Path, span_bytes: int, engine: str = "onnxruntime"
) -> int:
    """Write the unit with its layer in the format, as often as it goes into `span_bytes` of float32; how often that is."""
    import onnx

    part = from_model(extract(graph, unit.ops), graph.name, graph.source, graph.sha256)
    model = part.model.clone()
    if unit.layer is not None and name != FLOAT:
        model = rewritten(part, {unit.layer.op: _coded(graph, unit.layer, name)})
    starts = set(graph.inputs)
    insert(model, {key: each for key, each in unit.ranges.items() if key not in part.inputs or key in starts})
    _open_ends(model, {key: each for key, each in unit.ranges.items() if key not in starts})
    with TemporaryDirectory(prefix="shoal-probe-") as folder:
        save(model if engine == "native" else onnxruntime_form(model), Path(folder) / "probe.onnx")
        proto = onnx.load(Path(folder) / "probe.onnx")
    copies = _count(proto, part, span_bytes) if span_bytes else 1
    onnx.save(_repeated(proto, copies), path)
    return copies


def _unit(graph: Graph, layer: Layer, coded: Collection[str]) -> Unit:
    ops, out = [layer.op], graph.ops[graph.position[layer.op]].outputs[0]
    readers = graph.consumers[out]
    if len(readers) == 1 and graph.ops[readers[0]].kind in PASSING and out not in graph.finals:
        ops.append(graph.ops[readers[0]].name)
    ranges = _ranges(graph, ops, coded)
    return Unit(tuple(ops), layer, _signature(graph, layer, ops, ranges), ranges)


def _ranges(graph: Graph, ops: Collection[str], coded: Collection[str]) -> dict[str, Range]:
    found = {}
    for op in (graph.ops[graph.position[name]] for name in ops):
        for name in (*op.inputs, *op.outputs):
            if name in coded:
                maker = graph.producer.get(name)
                found[name] = POSITIVE if maker is not None and graph.ops[maker].kind in PASSING else SIGNED
    return found


def _signature(graph: Graph, layer: Layer, ops: Collection[str], ranges: Mapping[str, Range]) -> str:
    """What two layers have in common that cost the same."""
    nodes = {label(node): node for node in graph.model.graph}
    facts: list[object] = [layer.shape, layer.stored, layer.transposed, graph.tensors[layer.input].shape,
                           layer.input in graph.inputs]  # fmt: skip
    for name in ops:
        op, node = graph.ops[graph.position[name]], nodes[name]
        attributes = sorted((key, str(each.value)) for key, each in node.attributes.items())
        facts.append(
            (op.kind, attributes, len(node.inputs), tuple(graph.weights[each].shape for each in op.weights))
        )
        facts.append([(key in ranges, ranges.get(key) == POSITIVE) for key in (*op.inputs, *op.outputs)])
    return f"{layer.kind}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"


def _coded(graph: Graph, layer: Layer, name: str) -> CodedLayer:
    form = make(name)
    parts = np.split(weights_of(graph, layer), layer.groups)
    return CodedLayer(layer, name, form, tuple(quantise(form, part) for part in parts))


def _open_ends(model: ir.Model, ranges: Mapping[str, Range]) -> None:
    """Let inputs and outputs of the model that have a range be codes."""
    import onnx_ir as ir

    for index, value in enumerate(list(model.graph.inputs)):
        if value.name in ranges:
            code = ir.Value(name=f"{value.name}.code", shape=value.shape, type=ir.TensorType(ir.DataType.UINT8))
            decode = ir.node("DequantizeLinear", [code, *_parameters(model, value, ranges[access.name(value)])])
            _describe(decode.outputs[0], f"{value.name}.decoded", value, ir.DataType.FLOAT)
            model.graph.insert_before(model.graph[0], decode)
            for use in list(value.uses()):
                use.node.replace_input_with(use.idx, decode.outputs[0])
            model.graph.inputs[index] = code
    for index, value in enumerate(list(model.graph.outputs)):
        if value.name in ranges:
            already = next((use.node for use in value.uses() if use.node.op_type == "QuantizeLinear"), None)
            if already is not None:  # others in the model read its codes
                model.graph.outputs[index] = already.outputs[0]
                continue
            node = ir.node("QuantizeLinear", [value, *_parameters(model, value, ranges[access.name(value)])])
            _describe(node.outputs[0], f"{value.name}.out", value, ir.DataType.UINT8)
            model.graph.append(node)
            model.graph.outputs[index] = node.outputs[0]


def _parameters(model: ir.Model, value: ir.Value, each: Range) -> tuple[ir.Value, ir.Value]:
    scale = access.constant(model, f"{value.name}.end.scale", np.array(each.scale, np.float32))
    return scale, access.constant(model, f"{value.name}.end.zero", np.array(each.zero, np.uint8))


def _describe(value: ir.Value, name: str, like: ir.Value, kind: ir.DataType) -> None:
    import onnx_ir as ir

    value.name, value.shape, value.type = name, like.shape, ir.TensorType(kind)


def _count(proto: onnx.ModelProto, part: Graph, span_bytes: int) -> int:
    """So many copies that between two uses of a weight as much is read as in the network, within bounds."""
    weights = sum(len(tensor.raw_data) for tensor in proto.graph.initializer)
    around = sum(part.tensors[name].bytes for name in (*part.inputs, *part.outputs))
    wanted = -(-span_bytes // max(part.weights_bytes, 1))
    return int(max(2, min(MOST_COPIES, wanted, MOST_BYTES // max(1, weights + around))))


def _repeated(proto: onnx.ModelProto, copies: int) -> onnx.ModelProto:
    """The model so many times side by side, each with weights, inputs and outputs of its own."""
    import onnx

    found = onnx.ModelProto()
    found.CopyFrom(proto)
    for each in ("node", "initializer", "input", "output", "value_info"):
        found.graph.ClearField(each)
    for copy in range(copies):
        _append(found.graph, proto.graph, f"{copy}/")
    return found


def _append(target: Any, source: Any, prefix: str) -> None:
    for index, node in enumerate(source.node):
        made = target.node.add()
        made.CopyFrom(node)
        made.name = f"{prefix}{index}"
        for names in (made.input, made.output):
            names[:] = [prefix + name if name else "" for name in names]
    for field in ("initializer", "input", "output", "value_info"):
        for each in getattr(source, field):
            made = getattr(target, field).add()
            made.CopyFrom(each)
            made.name = prefix + each.name
