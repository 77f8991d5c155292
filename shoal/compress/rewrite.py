"""Coded weights in the model: an op in front of the product that decodes them.

For whole numbers of four and eight bits it is ONNX's own DequantizeLinear, which onnxruntime joins with the product
(MatMulNBits). For every other format it is `shoal.Decode` (see `graph.decode`), which the engine `native` joins with it
where there is a kernel; other engines decode when a segment is written for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.compress.correct import shifted
from shoal.compress.layers import Layer
from shoal.errors import ModelError
from shoal.formats import Coded, Format, restored
from shoal.formats.integer import Integer
from shoal.graph import Graph, access, decode, dequantise
from shoal.graph.tidy import label

if TYPE_CHECKING:
    import onnx_ir as ir


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


def standard(form: Format, layer: Layer) -> bool:
    """Whether ONNX has a type for the layer's codes."""
    return isinstance(form, Integer) and form.bits in (4, 8) and (form.group <= 0 or layer.kind != "Conv")


def rewritten(
    graph: Graph, coded: Mapping[str, CodedLayer], shifts: Mapping[str, NDArray[np.float64]] | None = None
) -> ir.Model:
    """The model with the codes of these layers, by op, and their biases shifted.

    Raises:
        ModelError: the model's opset is too old for the types.
    """

    model = graph.model.clone()
    if (
        any(standard(each.form, each.layer) for each in coded.values())
        and model.opset_imports[""] < dequantise.OPSET
    ):
        raise ModelError("the model's opset has no whole numbers of four bits in blocks", where=graph.source,
                         needed=f"opset {dequantise.OPSET}", had=str(model.opset_imports[""]),
                         hint="load it with compress.upgraded")  # fmt: skip
    nodes = {label(node): node for node in model.graph}
    for op, shift in (shifts or {}).items():
        shifted(model, nodes[op], shift)
    for op, each in coded.items():
        node = nodes[op]
        made = _decode(model, each)
        model.graph.insert_before(node, made)
        value = made.outputs[0]
        if node.op_type == "Gemm":
            _as_matmul(model, node, value)
        else:
            node.replace_input_with(1, value)
    for name in [name for name, value in model.graph.initializers.items() if not value.uses()]:
        if not model.graph.initializers[name].is_graph_output():
            del model.graph.initializers[name]
    return model


def _decode(model: ir.Model, each: CodedLayer) -> ir.Node:
    """An op that gives what the codes stand for: (columns, rows) for matrices, the file's shape for kernels."""
    layer, (rows, columns) = each.layer, each.layer.shape
    matrix = layer.kind != "Conv"
    packed = decode.Packed(each.format, each.coded, (columns, rows) if matrix else layer.stored, turned=matrix)
    make = dequantise.node if standard(each.form, layer) else decode.node
    return make(model, f"{layer.weight}.{layer.op}", packed)


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
        negative = -bias.const_value.numpy()
        last = ir.node("Sub", [value, access.constant(model, f"{out.name}.negative", negative)])
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
