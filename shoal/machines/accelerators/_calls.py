"""The ops of a model as calls: sizes, attributes, constants. Coded weights count as the constants that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from shoal.graph import access, decode
from shoal.graph.tidy import label
from shoal.graph.values import DECODES
from shoal.machines.accelerators.contract import Array, Call, Operand

if TYPE_CHECKING:
    import onnx_ir as ir

Decoded = dict[str, Callable[[], Array]]


def calls(model: ir.Model) -> tuple[Call, ...]:
    """The ops in order. Those that only decode weights are left out: who reads them finds a constant."""
    return tuple(_calls(model))


def evaluated(model: ir.Model, node: ir.Node, data: Mapping[str, Array]) -> dict[str, Array]:
    """What ONNX's own reference gives for one node; `data` holds its inputs that are not constant."""
    import onnx_ir as ir
    from onnx.reference import ReferenceEvaluator

    from shoal.graph import excerpt

    decode.register()
    evaluator = ReferenceEvaluator(ir.to_proto(excerpt(model, [node])), new_ops=[decode.evaluator()])
    names = [access.name(value) for value in node.outputs if value.name]
    read = {access.name(value) for value in node.inputs if value is not None and value.name}
    given = {name: value for name, value in data.items() if name in read}
    return dict(zip(names, evaluator.run(names, given), strict=True))


def decodes(node: ir.Node) -> bool:
    """Whether it only makes a weight of constants."""
    constant = all(value is None or value.const_value is not None for value in node.inputs)
    return node.op_type in DECODES and constant


def _calls(model: ir.Model) -> Iterator[Call]:
    decoded: Decoded = {}
    for node in model.graph:
        if decodes(node):
            name = access.name(node.outputs[0])
            decoded[name] = partial(_decoded, model, node, name)
        else:
            inputs = tuple(_operand(value, decoded) for value in node.inputs)
            outputs = tuple(_made(value) for value in node.outputs if value.name)
            yield Call(label(node), node.op_type, inputs, outputs, _attributes(node))


def _operand(value: ir.Value | None, decoded: Decoded) -> Operand | None:
    if value is None or not value.name:
        return None
    if value.name in decoded:
        return Operand(value.name, _dtype(value), access.dims(value), decoded[value.name])
    if value.const_value is not None:
        return Operand(value.name, _dtype(value), tuple(value.const_value.shape.numpy()), value.const_value.numpy)
    return _made(value)


def _made(value: ir.Value) -> Operand:
    return Operand(access.name(value), _dtype(value), access.dims(value))


def _dtype(value: ir.Value) -> str:
    return str(access.dtype(value).numpy())


def _decoded(model: ir.Model, node: ir.Node, name: str) -> Array:
    return evaluated(model, node, {})[name]


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in node.attributes.items()}
