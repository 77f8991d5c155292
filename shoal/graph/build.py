"""A settled onnx-ir model to the values the rest of shoal reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.errors import ModelError
from shoal.graph import access, count
from shoal.graph.tidy import label
from shoal.graph.values import Graph, Op, Tensor, Weight

if TYPE_CHECKING:
    import onnx_ir as ir


def from_model(model: ir.Model, name: str, source: str, sha256: str) -> Graph:
    """The Graph of `model`, whose every tensor must have a type and a static shape.

    Raises:
        ModelError: a tensor is of a kind that does not travel: text, a sequence, an optional.
    """
    graph = model.graph
    tensors = {access.name(value): _tensor(value, source) for value in graph.inputs}
    weights = {name: _weight(value) for name, value in graph.initializers.items()}
    for node in graph:
        for value in node.outputs:
            if value.uses() or value.is_graph_output():
                tensors[access.name(value)] = _tensor(value, source)
    return Graph(
        name=name,
        source=source,
        sha256=sha256,
        ops=tuple(_op(node, tensors, weights) for node in graph),
        tensors=tensors,
        weights=weights,
        inputs=tuple(access.name(value) for value in graph.inputs),
        outputs=tuple(access.name(value) for value in graph.outputs),
        model=model,
    )


def _op(node: ir.Node, tensors: dict[str, Tensor], weights: dict[str, Weight]) -> Op:
    names = list(dict.fromkeys(access.name(value) for value in node.inputs if value is not None))
    inputs = tuple(name for name in names if name in tensors)
    read = tuple(name for name in names if name in weights)
    outputs = tuple(access.name(value) for value in node.outputs if value.name in tensors)
    return Op(
        name=label(node),
        kind=node.op_type,
        inputs=inputs,
        weights=read,
        outputs=outputs,
        macs=count.macs(node),
        weights_bytes=sum(weights[name].bytes for name in read),
        read_bytes=sum(tensors[name].bytes for name in inputs),
        written_bytes=sum(tensors[name].bytes for name in outputs),
    )


def _tensor(value: ir.Value, source: str) -> Tensor:
    import onnx_ir as ir

    if not isinstance(value.type, ir.TensorType) or value.dtype is None or value.dtype == ir.DataType.STRING:
        raise ModelError(
            f"tensor '{value.name}' is of a kind that cannot travel", where=source, had=str(value.type)
        )
    return Tensor(access.name(value), value.dtype.numpy().name, access.dims(value))


def _weight(value: ir.Value) -> Weight:
    tensor = access.data(value)
    return Weight(access.name(value), tensor.dtype.numpy().name, tuple(tensor.shape.numpy()))
