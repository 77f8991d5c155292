"""If nodes whose condition is known once shapes are fixed: the branch taken moves into the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.graph import access

if TYPE_CHECKING:
    import onnx_ir as ir


def inline(graph: ir.Graph, node: ir.Node) -> bool:
    """Replace `node`, an If of `graph`, by the branch its condition takes; False if that is not known yet."""
    condition = node.inputs[0]
    if condition is None or condition.const_value is None:
        return False
    taken = bool(access.data(condition).numpy().reshape(-1)[0])
    branch = node.attributes["then_branch" if taken else "else_branch"].as_graph()
    results = list(branch.outputs)
    branch.outputs.clear()
    _move(branch, graph, node)
    for made, result in zip(node.outputs, results, strict=True):
        _hand_over(graph, node, made, result)
    graph.remove(node, safe=True)
    return True


def _move(branch: ir.Graph, graph: ir.Graph, node: ir.Node) -> None:
    """Move the weights and ops of `branch` before `node`, renamed: two branches may use the same names."""
    prefix = access.name(node.outputs[0])
    for value in list(branch.initializers.values()):
        del branch.initializers[access.name(value)]
        value.name = f"{prefix}/{value.name}"
        graph.register_initializer(value)
    nodes = list(branch)
    for moved in nodes:
        branch.remove(moved)
        for value in moved.outputs:
            value.shape = None  # written before the inputs were bound
            if value.name:
                value.name = f"{prefix}/{value.name}"
    graph.insert_before(node, nodes)


def _hand_over(graph: ir.Graph, node: ir.Node, made: ir.Value, result: ir.Value) -> None:
    """Let `result` stand for `made`; an output of the graph keeps its name by way of an Identity."""
    import onnx_ir as ir

    if not made.is_graph_output():
        made.replace_all_uses_with(result)
        return
    name = made.name
    made.name = f"{name}__branch"
    kept = ir.Value(name=name, type=made.type)
    graph.insert_before(node, ir.Node("", "Identity", [result], outputs=[kept]))
    made.replace_all_uses_with(kept, replace_graph_outputs=True)
