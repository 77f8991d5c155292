"""Ternary layers in an ONNX graph: packed codes that a product decodes, and the correction as two thin products."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import ModelError
from shoal.graph import Graph, access, decode
from shoal.graph.build import from_model
from shoal.graph.tidy import drop_dead, label
from shoal.train.ternary._stored import InputGate, Side, Stored

if TYPE_CHECKING:
    import onnx_ir as ir

EPSILON = 1e-6  # as in `_layers`


def ternary_graph(graph: Graph, layers: Mapping[str, Stored]) -> Graph:
    """`graph` with these layers in place of its products of the same names.

    Args:
        graph: stays as it is; the products are MatMuls with a constant.
        layers: by op.

    Raises:
        ModelError: there is no such product.
    """
    model = graph.model.clone()
    for place, layer in zip(_places(model, layers), layers.values(), strict=True):
        _replaced(place, layer)
    drop_dead(model.graph)
    return from_model(model, graph.name, graph.source, graph.sha256)


def normed_graph(graph: Graph, names: Sequence[str]) -> Graph:
    """`graph` with an RMSNorm in front of these products; raises like `ternary_graph`."""
    model = graph.model.clone()
    for place in _places(model, names):
        x = place.product.inputs[0]
        assert x is not None  # it is a MatMul
        place.product.replace_input_with(0, _normal(place, x, access.dims(x)[-1], "norm"))
    return from_model(model, graph.name, graph.source, graph.sha256)


def _places(model: ir.Model, names: Iterable[str]) -> list[_Place]:
    nodes = {label(node): node for node in model.graph}
    for name in names:
        if name not in nodes or nodes[name].op_type != "MatMul":
            raise ModelError("there is no such product", where=name, had=", ".join(nodes)[:200])
    return [_Place(model, nodes[name], name) for name in names]


class _Place:
    """Where ops are put: before a product, whose shape but for the last axis they have."""

    def __init__(self, model: ir.Model, product: ir.Node, name: str) -> None:
        self.model, self.product, self.name = model, product, name
        self.before = access.dims(product.outputs[0])[:-1]

    def op(self, kind: str, inputs: Sequence[ir.Value], last: int, end: str, **attributes: Any) -> ir.Value:
        """The float32 result, (…, last), of a new op."""
        return self._made(kind, inputs, (*self.before, last), end, attributes)

    def half(self, array: NDArray[np.float16], end: str) -> ir.Value:
        """A weight that is stored in float16, as float32."""
        stored = access.constant(self.model, f"{self.name}.{end}", array)
        return self._made("Cast", [stored], array.shape, f"{end}.wide", {"to": 1})

    def constant(self, value: Any, end: str) -> ir.Value:
        """One of the weights."""
        return access.constant(self.model, f"{self.name}.{end}", np.asarray(value, np.float32))

    def put(self, node: ir.Node) -> ir.Value:
        """A node that is there already."""
        self.model.graph.insert_before(self.product, node)
        return node.outputs[0]

    def _made(
        self, kind: str, inputs: Sequence[ir.Value], shape: tuple[int, ...], end: str, attributes: Mapping[str, Any]
    ) -> ir.Value:
        import onnx_ir as ir

        name = f"{self.name}.{end}"
        value = self.put(ir.node(kind, inputs, attributes, name=name))
        value.name, value.shape, value.type = name, ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
        return value


def _replaced(place: _Place, layer: Stored) -> None:
    import onnx_ir as ir

    rows, columns = layer.coded.codes.shape
    out, x = place.product.outputs[0], place.product.inputs[0]
    if x is None or access.dims(x)[-1] != columns or access.dims(out)[-1] != rows:
        raise ModelError("the product has other sizes", where=place.name, needed=f"{columns} to {rows}")
    if layer.normed:
        x = _normal(place, x, columns, "norm")
    packed = decode.Packed(layer.format, (layer.coded,), (columns, rows), turned=True)
    weight = place.put(decode.node(place.model, place.name, packed))
    whole = place.op("MatMul", [x, weight], rows, "product")
    if layer.side is not None:
        whole = place.op("Add", [whole, _beside(place, x, layer.side)], rows, "corrected")
    ir.convenience.replace_all_uses_with(out, whole, replace_graph_outputs=True)
    place.model.graph.remove(place.product, safe=True)
    out.name, whole.name = None, out.name


def _beside(place: _Place, x: ir.Value, side: Side) -> ir.Value:
    rank, rows = side.b.shape
    thin = place.op("MatMul", [x, place.half(side.a, "a")], rank, "thin")
    if side.gate is not None:
        thin = place.op("Mul", [thin, _opened(place, x, side.gate)], rank, "gated")
    return place.op("MatMul", [thin, place.half(side.b, "b")], rows, "correction")


def _opened(place: _Place, x: ir.Value, gate: InputGate) -> ir.Value:
    flat = _normal(place, x, len(gate.weight), "gate.norm")
    told = place.op("MatMul", [flat, place.half(gate.weight[:, None], "gate")], 1, "gate.told")
    return place.op(
        "Sigmoid", [place.op("Add", [told, place.constant(gate.bias, "gate.bias")], 1, "gate.sum")], 1, "opened"
    )


def _normal(place: _Place, x: ir.Value, columns: int, end: str) -> ir.Value:
    """x over its root mean square."""
    squares = place.op("Mul", [x, x], columns, f"{end}.squares")
    axes = access.constant(place.model, "ternary.last", np.array([-1], np.int64))
    mean = place.op("ReduceMean", [squares, axes], 1, f"{end}.mean", keepdims=1)
    root = place.op(
        "Sqrt", [place.op("Add", [mean, place.constant(EPSILON, f"{end}.tiny")], 1, f"{end}.sum")], 1, f"{end}.root"
    )
    return place.op("Div", [x, root], columns, end)
