"""Products that stay in float32 between rounded tensors, kept from being rounded by who runs them.

onnxruntime (1.31) codes the float weights of an op that stands between DequantizeLinear and QuantizeLinear, with one scale
for all of them. An op between that and its input, Max of a single tensor, is not taken away, and keeps it from that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.compress.activations import PRODUCTS

if TYPE_CHECKING:
    import onnx_ir as ir


def keep_float(model: ir.Model) -> int:
    """Have products with float32 weights read rounded tensors through such an op, in place; how many do."""
    import onnx_ir as ir

    found = [node for node in model.graph if node.op_type in PRODUCTS and _is_kept(node)]
    for node in found:
        read = node.inputs[0]
        assert read is not None
        made = ir.node("Max", [read], name=f"{node.name}.kept")
        made.outputs[0].name, made.outputs[0].shape = made.name, read.shape
        made.outputs[0].type = read.type
        model.graph.insert_before(node, made)
        node.replace_input_with(0, made.outputs[0])
    return len(found)


def _is_kept(node: ir.Node) -> bool:
    read, weight = node.inputs[:2]
    producer = read.producer() if read is not None else None
    rounded = producer is not None and producer.op_type == "DequantizeLinear"
    return rounded and weight is not None and weight.const_value is not None
