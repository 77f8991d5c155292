"""The same network in ops that have kernels on codes: normalisations within convolutions, sums of two as Add."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.graph import Graph, access
from shoal.graph.build import from_model

if TYPE_CHECKING:
    import onnx_ir as ir


def folded(graph: Graph) -> Graph:
    """`graph` without BatchNormalization behind convolutions that nothing else reads, and with Add for Sum."""
    model = graph.model.clone()
    for node in [node for node in model.graph if node.op_type == "BatchNormalization"]:
        before = node.inputs[0].producer() if node.inputs[0] is not None else None
        if before is not None and _foldable(before, node):
            _fold(model, before, node)
    for node in [node for node in model.graph if node.op_type == "Sum" and len(node.inputs) == 2]:
        node.op_type = "Add"
    found = from_model(model, graph.name, graph.source, graph.sha256)
    return replace(found, carried=graph.carried, inputs=graph.inputs, outputs=graph.outputs)


def _foldable(conv: ir.Node, norm: ir.Node) -> bool:
    constants = (*conv.inputs[1:], *norm.inputs[1:])
    return (
        conv.op_type == "Conv"
        and len(list(conv.outputs[0].uses())) == 1
        and not conv.outputs[0].is_graph_output()
        and all(value is None or value.const_value is not None for value in constants)
        and not any(out.uses() for out in norm.outputs[1:])
    )


def _fold(model: ir.Model, conv: ir.Node, norm: ir.Node) -> None:
    import onnx_ir as ir

    scale, shift, mean, variance = (_array(value) for value in norm.inputs[1:5])
    epsilon = norm.attributes["epsilon"].value if "epsilon" in norm.attributes else 1e-5
    factor = scale / np.sqrt(variance + epsilon)
    weight = _array(conv.inputs[1])
    bias = _array(conv.inputs[2]) if len(conv.inputs) > 2 and conv.inputs[2] is not None else np.zeros_like(mean)
    out, kept = norm.outputs[0], conv.outputs[0]
    made = ir.node(
        "Conv",
        [
            conv.inputs[0],
            access.constant(
                model,
                f"{out.name}.weight",
                (weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.float32),
            ),
            access.constant(model, f"{out.name}.bias", ((bias - mean) * factor + shift).astype(np.float32)),
        ],
        dict(conv.attributes),
        name=norm.name,
    )
    new, name = made.outputs[0], out.name
    new.type, new.shape = out.type, out.shape
    model.graph.insert_before(conv, made)
    ir.convenience.replace_all_uses_with(out, new, replace_graph_outputs=True)
    model.graph.remove([norm, conv], safe=True)
    kept.name = None
    new.name = name
    for name in [each for each, value in model.graph.initializers.items() if not value.uses()]:
        del model.graph.initializers[name]


def _array(value: ir.Value | None) -> NDArray[Any]:
    assert value is not None
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy(), np.float64)
