"""Means made good: what the rounding of a layer adds to its outputs in the mean is taken off its bias.

Source: data-free quantisation, arXiv 1906.04721, section 4.2, with the means seen on samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.contract import Seen
from shoal.compress.layers import Layer, Matrix
from shoal.graph import access
from shoal.graph.tidy import label

if TYPE_CHECKING:
    import onnx_ir as ir


def shift(layer: Layer, wanted: Matrix, stored: Matrix, seen: Seen) -> NDArray[np.float64]:
    """What has to be added to each row's output so that its mean over the samples is that of the float network."""
    parts = zip(np.split(wanted, layer.groups), np.split(stored, layer.groups), strict=True)
    return np.concatenate([seen.shift(own, left, group) for group, (own, left) in enumerate(parts)])


def shifted(model: ir.Model, node: ir.Node, shift: NDArray[np.float64]) -> bool:
    """Add `shift` to the bias of a product, in place; whether it has a place for it.

    That is a constant bias of a Conv or Gemm (a Conv gets one), or the constant that alone is added to a MatMul.
    """
    import onnx_ir as ir

    place = _added(node) if node.op_type == "MatMul" else (node, 2)
    if place is None or (
        node.op_type == "Gemm" and "beta" in node.attributes and node.attributes["beta"].value != 1
    ):
        return False
    holder, index = place
    if node.op_type == "Conv" and len(node.inputs) == 2:
        node.resize_inputs(3)
    bias = holder.inputs[index] if len(holder.inputs) > index else None
    had = _constant(bias)
    if had is None and (node.op_type != "Conv" or bias is not None):
        return False
    if had is not None and had.size != shift.size:
        return False
    made = shift.reshape(had.shape) + had if had is not None else shift
    name = f"{label(node)}.bias.shifted"
    new = access.constant(model, name, made.astype(np.float32))
    new.const_value = ir.tensor(made.astype(np.float32), name=name)
    holder.replace_input_with(index, new)
    return True


def _added(product: ir.Node) -> tuple[ir.Node, int] | None:
    """The Add that alone reads the product, and which of its inputs is the other."""
    uses = list(product.outputs[0].uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add" or product.outputs[0].is_graph_output():
        return None
    return uses[0].node, 1 - uses[0].idx


def _constant(value: ir.Value | None) -> NDArray[Any] | None:
    return None if value is None or value.const_value is None else np.asarray(value.const_value.numpy(), np.float64)
