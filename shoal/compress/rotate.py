"""Products on rotated operands: W·H is stored, x·H computed before the product, and the answers stay what they were.

H is a Hadamard matrix with random signs in blocks along the diagonal, so H·Hᵀ = 1. It spreads outliers over their
block, which whole numbers of few bits need (INT v.s. FP, arXiv 2510.25602; QuaRot, arXiv 2404.00456).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.layers import Layer, weights_of
from shoal.errors import InputError
from shoal.formats.composers import rotate
from shoal.graph import Graph, access
from shoal.graph.build import from_model
from shoal.graph.tidy import label

if TYPE_CHECKING:
    import onnx_ir as ir

PREFIX = "rotate."  # of the names of constants that turn


def rotated(graph: Graph, layers: Sequence[Layer], block: int = 0, seed: int = 0) -> Graph:
    """`graph` with rotated inputs and weights of these layers; each input is rotated once for all that read it.

    What turns the inputs are products, too; `turning` names them.

    Args:
        graph: stays as it is.
        layers: of `graph`; matrices, not convolutions.
        block: columns that are turned together, a power of two; 0: the largest that divides a layer's columns.
        seed: of the signs.

    Raises:
        InputError: a convolution, or blocks that do not divide a layer's columns.
    """
    model = graph.model.clone()
    nodes = {label(node): node for node in model.graph}
    turned: dict[str, ir.Value] = {}
    for layer in sorted(layers, key=lambda each: graph.position[each.op]):
        size = _size(layer, block)
        node = nodes[layer.op]
        if layer.input not in turned:
            turned[layer.input] = _turned(model, node, layer.shape[1], size, seed)
        matrix = rotate.rotated(weights_of(graph, layer), size, seed)
        weight = access.constant(model, f"{layer.weight}.{layer.op}.turned", layer.tensor(matrix))
        node.replace_input_with(0, turned[layer.input])
        node.replace_input_with(1, weight)
    for name in [name for name, value in model.graph.initializers.items() if not value.uses()]:
        if not model.graph.initializers[name].is_graph_output():
            del model.graph.initializers[name]
    found = from_model(model, graph.name, graph.source, graph.sha256)
    return replace(found, carried=graph.carried, inputs=graph.inputs, outputs=graph.outputs)


def turning(graph: Graph) -> tuple[str, ...]:
    """The products with a Hadamard matrix that `rotated` put into `graph`: `compress` is to skip them."""
    return tuple(op.name for op in graph.ops if any(name.startswith(f"{PREFIX}hadamard") for name in op.weights))


def _size(layer: Layer, block: int) -> int:
    if layer.kind == "Conv":
        raise InputError("a convolution cannot be rotated", where=layer.op, needed="MatMul or Gemm")
    if block < 0 or block & (block - 1):
        raise InputError(
            "no Hadamard matrix has this size", where="rotate", needed="a power of two", had=str(block)
        )
    return rotate.block_of(layer.shape[1], block)


def _turned(model: ir.Model, node: ir.Node, columns: int, block: int, seed: int) -> ir.Value:
    """What the product reads, times H: the small matrix on each block."""
    value = node.inputs[0]
    assert value is not None
    name, shape = access.name(value), access.dims(value)
    small = _constant(model, f"hadamard.{block}.{seed}", rotate.turn(block, seed))
    if block == columns:
        return _after(model, node, "MatMul", [value, small], f"{name}.turned", shape)
    apart = (*shape[:-1], columns // block, block)
    blocks = _after(model, node, "Reshape", [value, _sizes(model, apart)], f"{name}.blocks", apart)
    mixed = _after(model, node, "MatMul", [blocks, small], f"{name}.mixed", apart)
    return _after(model, node, "Reshape", [mixed, _sizes(model, shape)], f"{name}.turned", shape)


def _after(
    model: ir.Model, before: ir.Node, kind: str, inputs: list[ir.Value], name: str, shape: tuple[int, ...]
) -> ir.Value:
    """The float32 result of a new op that stands before the op `before`."""
    import onnx_ir as ir

    made = ir.node(kind, inputs, name=name)
    value = made.outputs[0]
    value.name, value.shape, value.type = name, ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
    model.graph.insert_before(before, made)
    return value


def _sizes(model: ir.Model, shape: tuple[int, ...]) -> ir.Value:
    return _constant(model, f"shape.{'.'.join(map(str, shape))}", np.array(shape, np.int64))


def _constant(model: ir.Model, name: str, array: NDArray[Any]) -> ir.Value:
    return access.constant(model, f"{PREFIX}{name}", array)
