"""Convolutions of codes whose sums stay float32, computed on the codes: ConvInteger, and a factor a row.

onnxruntime makes an integer kernel of a Conv between DequantizeLinear and QuantizeLinear; where nothing rounds its
output, it would decode everything and compute in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.compress.activations import PASSING
from shoal.graph import access

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True, eq=False)
class _Parts:
    """What such a convolution reads."""

    codes: ir.Value  # unsigned, with one scale and zero point
    zero: ir.Value
    weights: ir.Value  # signed, around 0
    factors: NDArray[np.float32]  # of the rows: scale of the input · scale of the weights
    bias: NDArray[np.float32] | None


def integer_convolutions(model: ir.Model) -> int:
    """Compute on codes where only onnxruntime's fusion would be missing, in place; how many were changed."""
    found = [
        (node, parts) for node in model.graph if node.op_type == "Conv" and (parts := _parts(node)) is not None
    ]
    for node, parts in found:
        _replace(model, node, parts)
    return len(found)


def _parts(node: ir.Node) -> _Parts | None:
    before, weight = (value.producer() if value is not None else None for value in node.inputs[:2])
    grouped = "group" in node.attributes and node.attributes["group"].value != 1  # its kernel is slow
    if before is None or weight is None or grouped or _rounded_after(node):
        return None
    decoded = {before.op_type, weight.op_type} == {"DequantizeLinear"}
    if not decoded or (len(before.inputs), len(weight.inputs)) != (3, 2):
        return None
    codes, scale, zero = before.inputs
    values, scales = weight.inputs
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if codes is None or zero is None or values is None or values.const_value is None or values.dtype is None:
        return None
    if values.dtype.name != "INT8" or codes.dtype is None or codes.dtype.name != "UINT8":
        return None
    if bias is not None and bias.const_value is None:
        return None
    factors = access.data(scale).numpy() * access.data(scales).numpy()
    whole = None if bias is None else access.data(bias).numpy()
    return _Parts(codes, zero, values, np.asarray(factors, np.float32).reshape(-1), whole)


def _rounded_after(node: ir.Node) -> bool:
    """Whether its output, or that of the activation function that alone reads it, is only read as codes."""
    out = node.outputs[0]
    uses = list(out.uses())
    if len(uses) == 1 and uses[0].node.op_type in PASSING and not out.is_graph_output():
        out = uses[0].node.outputs[0]
        uses = list(out.uses())
    return bool(uses) and not out.is_graph_output() and all(use.node.op_type == "QuantizeLinear" for use in uses)


def _replace(model: ir.Model, node: ir.Node, parts: _Parts) -> None:
    import onnx_ir as ir

    out = node.outputs[0]
    name = out.name
    wide = (-1, *(1,) * (len(access.dims(parts.weights)) - 2))
    made = [
        ir.node("ConvInteger", [parts.codes, parts.weights, parts.zero], dict(node.attributes), name=f"{name}.sums")
    ]
    made.append(ir.node("Cast", made[-1].outputs, {"to": ir.DataType.FLOAT.value}, name=f"{name}.float"))
    factors = access.constant(model, f"{name}.factors", parts.factors.reshape(wide))
    made.append(ir.node("Mul", [made[-1].outputs[0], factors], name=f"{name}.scaled"))
    if parts.bias is not None:
        bias = access.constant(model, f"{name}.bias", parts.bias.reshape(wide))
        made.append(ir.node("Add", [made[-1].outputs[0], bias], name=node.name or f"{name}.whole"))
    for each in made:
        kind = ir.DataType.INT32 if each.op_type == "ConvInteger" else ir.DataType.FLOAT
        each.outputs[0].name, each.outputs[0].shape = f"{each.name}d", out.shape
        each.outputs[0].type = ir.TensorType(kind)
    model.graph.insert_before(node, made)
    last, decodes = made[-1].outputs[0], [value.producer() for value in node.inputs[:2] if value is not None]
    ir.convenience.replace_all_uses_with(out, last, replace_graph_outputs=True)
    model.graph.remove(node, safe=True)
    out.name, last.name = None, name
    for decode in decodes:
        if decode is not None and not decode.outputs[0].uses():
            model.graph.remove(decode, safe=True)
