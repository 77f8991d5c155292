"""What products read in few bits, with a scale found anew for each token: ops of ONNX that round on the way.

They show what is lost; a kernel that computes on the codes gives the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from shoal.compress.activations import PRODUCTS
from shoal.compress.quantisers._steps import LEAST, Steps, largest_code
from shoal.errors import InputError
from shoal.graph import access

if TYPE_CHECKING:
    import onnx_ir as ir


def insert_steps(model: ir.Model, found: Mapping[str, Steps]) -> None:
    """Let the products that read these tensors read what is left of them; in place.

    Raises:
        InputError: a scale that is fixed, or a tensor that is not there.
    """
    values = {
        value.name: value for value in (*model.graph.inputs, *(out for node in model.graph for out in node.outputs))
    }
    for name, steps in found.items():
        if name not in values or steps.scale is not None:
            raise InputError("only tensors of the model are rounded token by token", where=name)
        value = values[name]
        uses = [(use.node, use.idx) for use in value.uses() if use.node.op_type in PRODUCTS and use.idx == 0]
        nodes = _nodes(model, value, name, steps)
        producer = value.producer()
        if producer is None:
            model.graph.insert_before(model.graph[0], nodes)
        else:
            model.graph.insert_after(producer, nodes)
        for node, index in uses:
            node.replace_input_with(index, nodes[-1].outputs[0])


def _nodes(model: ir.Model, value: ir.Value, name: str, steps: Steps) -> list[ir.Node]:
    """x → x / f → codes → x = s · f · q."""
    import onnx_ir as ir

    made: list[ir.Node] = []
    whole = access.dims(value)

    def then(kind: str, *inputs: ir.Value, shape: tuple[int, ...] = whole, **options: int) -> ir.Value:
        node = ir.node(kind, inputs, options or None, name=f"{name}.steps.{len(made)}")
        out = node.outputs[0]
        out.name, out.shape, out.type = f"{node.name}.value", ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
        made.append(node)
        return out

    def constant(what: str, content: object, kind: type = np.float32) -> ir.Value:
        return access.constant(model, f"{name}.steps.{what}", np.asarray(content, kind))

    factors, one = constant("factors", steps.factors), (*whole[:-1], 1)
    even = then("Div", value, factors)
    largest = then("ReduceMax", then("Abs", even), constant("axis", [-1], np.int64), shape=one, keepdims=1)
    some = then("Max", then("Div", largest, constant("most", largest_code(steps.bits)), shape=one), constant("least", LEAST),
                shape=one)  # fmt: skip
    codes = then("Round", then("Div", even, some))
    then("Mul", codes, then("Mul", some, factors))
    return made
