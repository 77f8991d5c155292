"""Coded weights in the model: ONNX's own DequantizeLinear in front of the product.

onnxruntime joins the two, so that products run on the codes (MatMulNBits for whole numbers of four and eight bits).
What ONNX has no type for stands there as float32, and the report says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.layers import Layer
from shoal.errors import ModelError
from shoal.formats import Coded, Format, restored
from shoal.formats.integer import Integer
from shoal.graph import Graph
from shoal.graph.tidy import label

if TYPE_CHECKING:
    import onnx_ir as ir

OPSET = 21  # whole numbers of four bits, and blocks of them


@dataclasses.dataclass(frozen=True, eq=False)
class CodedLayer:
    """A layer and what is stored of it: one coded matrix for each group of a convolution."""

    layer: Layer
    format: str
    form: Format
    coded: tuple[Coded, ...]

    @property
    def stored_bits(self) -> int:
        """What it takes, packed, with parameters."""
        rows, columns = self.layer.shape
        return self.form.stored_bits((rows // self.layer.groups, columns)) * self.layer.groups

    @property
    def matrix(self) -> NDArray[np.float32]:
        """What is stored, as float32 (rows, columns)."""
        return np.concatenate([restored(self.form, each) for each in self.coded])


def storable(form: Format, layer: Layer) -> bool:
    """Whether ONNX can hold the layer's codes."""
    return isinstance(form, Integer) and (form.group <= 0 or layer.kind != "Conv")


def rewritten(graph: Graph, coded: Mapping[str, CodedLayer]) -> ir.Model:
    """The model with the codes of these layers, by op.

    Raises:
        ModelError: the model's opset is too old for the types.
    """
    import onnx_ir as ir

    model = graph.model.clone()
    if any(storable(each.form, each.layer) for each in coded.values()) and model.opset_imports[""] < OPSET:
        raise ModelError("the model's opset has no whole numbers of four bits in blocks", where=graph.source,
                         needed=f"opset {OPSET}", had=str(model.opset_imports[""]),
                         hint="load it with compress.upgraded")  # fmt: skip
    nodes = {label(node): node for node in model.graph}
    for op, each in coded.items():
        node = nodes[op]
        if not storable(each.form, each.layer):
            tensor = each.layer.tensor(each.matrix)
            node.replace_input_with(1, _weight(model, f"{each.layer.weight}.{op}", ir.tensor(tensor)))
            continue
        value = _dequantised(model, node, each)
        if node.op_type == "Gemm":
            _as_matmul(model, node, value)
        else:
            node.replace_input_with(1, value)
    for name in [name for name, value in model.graph.initializers.items() if not value.uses()]:
        if not model.graph.initializers[name].is_graph_output():
            del model.graph.initializers[name]
    return model


def _dequantised(model: ir.Model, node: ir.Node, each: CodedLayer) -> ir.Value:
    """What the codes stand for, as an op before `node`: (columns, rows) for matrices, the file's shape for kernels."""
    import onnx_ir as ir

    form, layer = each.form, each.layer
    assert isinstance(form, Integer)
    first = 0 if form.affine else int(form.grid.values[0])
    codes = np.concatenate([part.codes for part in each.coded]).astype(np.int16) + first
    scales = _parameter(each, "scales")
    narrow = form.bits <= 4
    kind = (ir.DataType.UINT4 if narrow else ir.DataType.UINT8) if form.affine else (
        ir.DataType.INT4 if narrow else ir.DataType.INT8
    )  # fmt: skip
    matrix = layer.kind != "Conv"
    stored = codes.T if matrix else codes.reshape(layer.stored)
    name = f"{layer.weight}.{layer.op}"
    inputs = [
        _weight(model, f"{name}.codes", _packed(stored, kind)),
        _weight(model, f"{name}.scales", ir.tensor(scales)),
    ]
    if form.affine:
        inputs.append(_weight(model, f"{name}.zeros", _packed(_parameter(each, "zeros"), kind)))
    attributes: dict[str, int] = {}
    if scales.ndim:
        attributes["axis"] = (0 if scales.ndim == 2 else 1) if matrix else 0
    if scales.ndim == 2:
        attributes["block_size"] = form.group
    made = ir.node("DequantizeLinear", inputs, attributes or None, name=f"{name}.decode")
    value = made.outputs[0]
    _describe(value, f"{name}.decoded", ir.DataType.FLOAT, ir.Shape(stored.shape))
    model.graph.insert_before(node, made)
    return value


def _parameter(each: CodedLayer, name: str) -> NDArray[Any]:
    """Scales or zeros as the op takes them: one, one a row, or (groups, rows)."""
    parts = [part.params[name] for part in each.coded]
    if each.form.group < 0:
        if len(parts) == 1:
            return np.asarray(parts[0], np.float32).reshape(())
        rows = each.layer.shape[0] // each.layer.groups
        return np.repeat(np.concatenate(parts).reshape(-1), rows).astype(np.float32)
    whole = np.concatenate(parts).astype(np.float32)
    return np.ascontiguousarray(whole.T) if each.form.group > 0 else whole.reshape(-1)


def _as_matmul(model: ir.Model, node: ir.Node, weight: ir.Value) -> None:
    """A Gemm as MatMul and Sub, for there are kernels on codes for MatMul; onnxruntime would undo MatMul and Add."""
    import onnx_ir as ir

    if any(node.attributes[name].value != 1 for name in ("alpha", "beta") if name in node.attributes):
        raise ModelError("a Gemm with factors cannot be coded", where=label(node))
    out = node.outputs[0]
    product = ir.node("MatMul", [node.inputs[0], weight], name=f"{node.name or out.name}.product")
    value = product.outputs[0]
    _describe(value, f"{out.name}.product", out.dtype, out.shape)
    model.graph.insert_before(node, product)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is None:
        last = ir.node("Identity", [value])
    elif bias.const_value is None:
        last = ir.node("Add", [value, bias])
    else:
        negative = ir.tensor(-bias.const_value.numpy())
        last = ir.node("Sub", [value, _weight(model, f"{out.name}.negative", negative)])
    model.graph.insert_before(node, last)
    name, kind, shape = out.name, out.dtype, out.shape
    ir.convenience.replace_all_uses_with(out, last.outputs[0], replace_graph_outputs=True)
    out.name = f"{name}.before"
    model.graph.remove(node, safe=True)
    _describe(last.outputs[0], name, kind, shape)


def _describe(value: ir.Value, name: str | None, kind: ir.DataType | None, shape: ir.Shape | None) -> None:
    import onnx_ir as ir

    value.name, value.shape = name, shape
    value.type = None if kind is None else ir.TensorType(kind)


def _packed(values: NDArray[Any], kind: ir.DataType) -> ir.TensorProtocol:
    import onnx_ir as ir

    return ir.tensor(np.ascontiguousarray(values).astype(kind.numpy()), dtype=kind)


def _weight(model: ir.Model, name: str, tensor: ir.TensorProtocol) -> ir.Value:
    import onnx_ir as ir

    if name in model.graph.initializers:
        return model.graph.initializers[name]
    shape = ir.Shape(tensor.shape.numpy())
    value = ir.Value(name=name, shape=shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    tensor.name = name
    model.graph.register_initializer(value)
    return value
