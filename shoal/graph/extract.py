"""Sub-models cut from a graph, and models written to files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shoal import codec
from shoal.errors import InputError, PlanError
from shoal.graph import access, opened
from shoal.graph.liveness import boundary
from shoal.graph.shapes import OLDEST_IR_VERSION
from shoal.graph.tidy import label
from shoal.graph.values import Graph

if TYPE_CHECKING:
    import onnx_ir as ir

EXTERNAL_FROM_BYTES = 1024  # smaller weights stay in the .onnx file
ALIGNMENT_BYTES = 4096  # a page, so that every weight can be mapped by itself


def extract(graph: Graph, ops: Iterable[str]) -> ir.Model:
    """The ops of that set, any set, as a model of their own: only their weights, typed inputs and outputs.

    Inputs and outputs are the set's boundary, under their own names. Weights are shared with `graph`, unread.

    Raises:
        PlanError: the graph has no such op, or the set is empty.
    """
    names = set(ops)
    unknown = names.difference(graph.position)
    if unknown or not names:
        raise PlanError(f"the model has no op '{min(unknown)}'" if unknown else "no ops given", where=graph.name)
    nodes = {label(node): node for node in graph.model.graph}
    part = _assembled(
        graph.model, [nodes[op.name] for op in graph.ops if op.name in names], *boundary(graph, names), graph.name
    )
    return opened.leave_open(part, graph.open) if graph.open else part


def excerpt(model: ir.Model, nodes: Sequence[ir.Node]) -> ir.Model:
    """Some nodes of a model, in its order, as a model of their own: what they read from others, and give to others."""
    inside = set(nodes)
    read = dict.fromkeys(
        access.name(value) for node in nodes for value in node.inputs
        if value is not None and value.name and value.const_value is None and value.producer() not in inside
    )  # fmt: skip
    given = [
        access.name(value) for node in nodes for value in node.outputs
        if value.is_graph_output() or any(use.node not in inside for use in value.uses())
    ]  # fmt: skip
    return _assembled(model, nodes, tuple(read), tuple(given), model.graph.name or "part")


def _assembled(
    model: ir.Model, nodes: Sequence[ir.Node], inputs: tuple[str, ...], outputs: tuple[str, ...], name: str
) -> ir.Model:
    import onnx_ir as ir

    copier = _Copier()
    made = [copier.node(node) for node in nodes]
    part = ir.Graph(
        [copier.values[each] for each in inputs],
        [copier.values[each] for each in outputs],
        nodes=made,
        initializers=[value for value in copier.values.values() if value.const_value is not None],
        opset_imports=dict(model.graph.opset_imports),
        name=name,
    )
    return ir.Model(part, ir_version=max(model.ir_version, OLDEST_IR_VERSION), producer_name="shoal")


class _Copier:
    """Copies nodes one after another; a value met twice is the same copy."""

    def __init__(self) -> None:
        self.values: dict[str, ir.Value] = {}

    def node(self, node: ir.Node) -> ir.Node:
        """A copy with the same attributes. Outputs nobody reads stay: to Split their number matters."""
        import onnx_ir as ir

        return ir.Node(
            node.domain,
            node.op_type,
            [self.value(value) if value is not None and value.name else None for value in node.inputs],
            node.attributes.values(),
            outputs=[self.value(value) if value.name else ir.Value(name="") for value in node.outputs],
            name=node.name,
        )

    def value(self, value: ir.Value) -> ir.Value:
        import onnx_ir as ir

        name = access.name(value)
        if name not in self.values:
            self.values[name] = ir.Value(
                name=name, shape=value.shape, type=value.type, const_value=value.const_value
            )
        return self.values[name]


def save(model: Graph | ir.Model, path: Path, external: bool = True) -> None:
    """Write the model to `path`, the same bytes for the same content.

    Args:
        model: left as it is.
        path: the .onnx file; with `external` the weights stand beside it in `<stem>.weights`.
        external: keep weights of 1 KiB and more apart, page-aligned, so that an engine can map them. They are
            written one at a time: no more than the largest is in memory.

    Raises:
        InputError: a file cannot be written.
    """
    import onnx_ir as ir

    copy = extract(model, model.position) if isinstance(model, Graph) else model.clone()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if external:
            _move_weights_out(copy, path)
        else:
            _move_weights_in(copy)
    except OSError as fault:
        raise InputError(f"cannot write: {fault.strerror or fault}", where=str(path)) from fault
    codec.write_bytes(ir.serde.serialize_model(copy).SerializeToString(deterministic=True), path)


def _move_weights_out(model: ir.Model, path: Path) -> None:
    import onnx_ir as ir

    _move_weights_in(model, below_bytes=EXTERNAL_FROM_BYTES)
    ir.external_data.unload_from_model(
        model,
        path.parent,
        f"{path.stem}.weights",
        size_threshold_bytes=EXTERNAL_FROM_BYTES - 1,
        alignment=ALIGNMENT_BYTES,
        align_threshold=EXTERNAL_FROM_BYTES - 1,
    )


def _move_weights_in(model: ir.Model, below_bytes: float = math.inf) -> None:
    """Read weights that stand in files, those smaller than `below_bytes`.

    Through a reader of their own: the model's may be in use elsewhere, and then cannot be closed.
    """
    import onnx_ir as ir

    for value in model.graph.initializers.values():
        tensor = access.data(value)
        if isinstance(tensor, ir.ExternalTensor) and tensor.nbytes < below_bytes:
            reader = ir.ExternalTensor(
                tensor.location, tensor.offset, tensor.length, tensor.dtype,
                shape=tensor.shape, name=value.name or "", base_dir=tensor.base_dir,
            )  # fmt: skip
            value.const_value = ir.tensor(np.array(reader.numpy()), dtype=tensor.dtype, name=value.name)
