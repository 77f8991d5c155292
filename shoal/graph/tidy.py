"""Rewrites that change nothing a model computes: constants become weights, no-ops and dead ops go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.errors import ModelError
from shoal.graph import access

if TYPE_CHECKING:
    import onnx_ir as ir

DROPOUT_TRAINS_FROM = 12  # the opset whose Dropout has a training_mode input


def prepare(model: ir.Model, where: str) -> None:
    """Inline functions, put the ops in order, make every constant a weight, no input.

    Raises:
        ModelError: an operator is not ONNX's own, or functions call or ops read one another in a circle.
    """
    if model.functions:
        _inline(model, where)
    graph = model.graph
    _sort(graph, where)
    constant_inputs = [value for value in graph.inputs if value.is_initializer()]
    for value in constant_inputs:
        graph.inputs.remove(value)
    for node in list(graph):
        if node.op_type == "Constant" and not node.domain:
            _lift(graph, node, where)
    check_operators(model, where)
    drop_dead(graph)


def finish(model: ir.Model) -> None:
    """Drop what nobody needs, and put ops that read no activation next to their first reader."""
    graph = model.graph
    drop_noops(model)
    drop_dead(graph)
    for value in [value for value in graph.inputs if not value.uses() and not value.is_graph_output()]:
        graph.inputs.remove(value)
    _keep_initializer_outputs(graph)
    _sink_constants(graph)


def check_operators(model: ir.Model, where: str) -> None:
    """Refuse operators whose shapes and meaning ONNX does not define.

    Raises:
        ModelError: naming the operator and its node's output.
    """
    from onnx import defs

    for node in model.graph:
        place = f"{where}: op '{label(node)}'"
        version = model.graph.opset_imports.get(node.domain)
        if version is None:
            raise ModelError(f"unknown operator {node.domain}.{node.op_type}", where=place)
        try:
            defs.get_schema(node.op_type, version, node.domain)
        except defs.SchemaError as fault:
            kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            raise ModelError(f"unknown operator {kind} (opset {version})", where=place) from fault


def refuse_control_flow(model: ir.Model, where: str) -> None:
    """Refuse operators that hold a graph of their own.

    Raises:
        ModelError: naming the operator and its node's output.
    """
    for node in model.graph:
        if any(attribute.type.name in ("GRAPH", "GRAPHS") for attribute in node.attributes.values()):
            raise ModelError(
                f"{node.op_type} decides while running, which a plan cannot cut",
                where=f"{where}: op '{label(node)}'",
                hint="export the model without control flow",
            )


def label(node: ir.Node) -> str:
    """The name a node will have as an op: that of its first output somebody reads."""
    read = first_read(node)
    return next((value.name for value in [read, *node.outputs] if value and value.name), node.name or node.op_type)


def first_read(node: ir.Node) -> ir.Value | None:
    """The first output of a node that somebody reads; None for what is dead."""
    return next((value for value in node.outputs if value.uses() or value.is_graph_output()), None)


def replace_by_constant(value: ir.Value, tensor: ir.TensorProtocol) -> None:
    """Let the readers of `value`, an op's output, read the weight `tensor` instead, under the same name."""
    import onnx_ir as ir

    node = value.producer()
    if node is None or node.graph is None:
        raise ValueError(f"'{value.name}' is not made by an op of a graph")
    name = value.name
    value.name = f"{name}__folded"
    tensor.name = name
    constant = ir.Value(
        name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    node.graph.register_initializer(constant)
    value.replace_all_uses_with(constant)


def drop_noops(model: ir.Model) -> None:
    """Remove each Identity and inference Dropout, unless the name of an output would go with it."""
    graph = model.graph
    for node in list(graph):
        if _is_noop(model, node) and node.inputs[0] is not None and not node.outputs[0].is_graph_output():
            node.outputs[0].replace_all_uses_with(node.inputs[0])
            graph.remove(node, safe=True)


def drop_dead(graph: ir.Graph) -> None:
    """Remove ops nobody reads and weights nobody reads."""
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        if not graph.initializers[name].is_graph_output():
            del graph.initializers[name]


def _inline(model: ir.Model, where: str) -> None:
    from onnx_ir.passes import PassError, PreconditionError
    from onnx_ir.passes.common import InlinePass

    try:
        InlinePass()(model)
    except (PassError, PreconditionError, ValueError, LookupError) as fault:
        reason = str(fault).splitlines()[0]
        raise ModelError(f"its functions cannot be taken apart: {reason}", where=where) from fault


def _sort(graph: ir.Graph, where: str) -> None:
    try:
        graph.sort()
    except ValueError as fault:
        raise ModelError("its ops read one another in a circle", where=where) from fault


def _lift(graph: ir.Graph, node: ir.Node, where: str) -> None:
    if node.outputs[0].is_graph_output():
        return
    tensor = _constant(node, where)
    replace_by_constant(node.outputs[0], tensor)
    graph.remove(node, safe=True)


def _constant(node: ir.Node, where: str) -> ir.TensorProtocol:
    import numpy as np
    import onnx_ir as ir

    name, attribute = next(iter(node.attributes.items()), ("none", None))
    makers: dict[str, Callable[[Any], ir.TensorProtocol]] = {
        "value": lambda value: value,
        "value_float": lambda value: ir.tensor(np.float32(value)),
        "value_floats": lambda value: ir.tensor(np.asarray(value, np.float32)),
        "value_int": lambda value: ir.tensor(np.int64(value)),
        "value_ints": lambda value: ir.tensor(np.asarray(value, np.int64)),
        "value_string": lambda value: ir.tensor([value], dtype=ir.DataType.STRING),
        "value_strings": lambda value: ir.tensor(list(value), dtype=ir.DataType.STRING),
    }
    if name not in makers or attribute is None:
        raise ModelError(f"a Constant of kind '{name}'", where=f"{where}: op '{label(node)}'")
    return makers[name](attribute.value)


def _is_noop(model: ir.Model, node: ir.Node) -> bool:
    if node.domain:
        return False
    if node.op_type == "Identity":
        return True
    if node.op_type != "Dropout":
        return False
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        return False
    if model.graph.opset_imports[""] < DROPOUT_TRAINS_FROM or len(node.inputs) < 3 or node.inputs[2] is None:
        return True
    training = node.inputs[2].const_value
    return training is not None and not training.numpy().any()


def _keep_initializer_outputs(graph: ir.Graph) -> None:
    """Give a weight that is itself an output an Identity, so that every output is made by an op."""
    import onnx_ir as ir

    for index, value in enumerate(list(graph.outputs)):
        if not value.is_initializer() or value.name is None:
            continue
        name = value.name
        value.name = f"{name}__weight"
        tensor = access.data(value)
        result = ir.Value(name=name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype))
        node = ir.Node("", "Identity", [value], outputs=[result])
        graph.append(node)
        graph.outputs[index] = result


def _sink_constants(graph: ir.Graph) -> None:
    """Move each op that reads no activation (say, one that unpacks a weight) before its first reader.

    Where it stands in the file would keep its result alive across every cut in between.
    """
    constant = set()
    for node in graph:
        if all(v is None or v.is_initializer() or v.producer() in constant for v in node.inputs):
            constant.add(node)
    for node in reversed(list(graph)):
        if node not in constant:
            continue
        readers = {usage.node for value in node.outputs for usage in value.uses()}
        first = next((other for other in graph if other in readers), None)
        if first is not None:
            graph.remove(node)
            graph.insert_before(first, node)
