"""Constant folding: what depends on no input is worked out once, here, and becomes a weight.

Small results are kept; large ones become recipes that run when the weight is read, so that a model whose
weights come from ConstantOfShape or stand transposed costs nothing to load.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shoal.graph import access, branches, shapes, tidy, weights

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

KEPT_BYTES = 1 << 20  # results up to here are worked out at once
SHOWN_BYTES = 1 << 24  # inputs up to here are read for it

# Another answer each time.
RANDOM = frozenset(
    (
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Multinomial",
        "Bernoulli",
        "Dropout",
    )
)
# Unpacking a quantised weight here would make it larger than the file's.
PACKED = frozenset(("DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear"))
# May make much from little, so not before inference has said how much.
GROWING = frozenset(("Expand", "Tile", "Range", "Resize", "Upsample", "Pad", "OneHot", "EyeLike"))

# What the reference evaluator raises for an operator or version it cannot run; the op then stays.
CANNOT_RUN = (RuntimeError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


def settle(model: ir.Model, where: str) -> None:
    """Infer shapes and fold by turns until every shape is a number and no constant op is left to fold.

    Raises:
        ModelError: a shape or a branch stays open, or the given shapes do not fit an op.
    """
    tidy.drop_noops(model)
    while True:
        shapes.infer(model, where)
        if not fold(model):
            break
    tidy.check_operators(model, where)  # again: branches may have come in
    tidy.refuse_control_flow(model, where)
    shapes.require_static(model, where)


def fold(model: ir.Model) -> bool:
    """Replace ops that depend on no input by their results; whether there was any."""
    graph = model.graph
    folded = False
    for node in list(graph):
        if node.op_type == "If" and not node.domain:
            folded |= branches.inline(graph, node)
            continue
        results = _results(model, node) if _may_fold(node) else None
        if results is None:
            continue
        for value, tensor in zip(node.outputs, results, strict=False):
            if value.uses():
                tidy.replace_by_constant(value, tensor)
        graph.remove(node, safe=True)
        folded = True
    tidy.drop_dead(graph)
    return folded


def _may_fold(node: ir.Node) -> bool:
    if node.domain or node.op_type in RANDOM or node.op_type in PACKED:
        return False
    if any(attribute.type.name in ("GRAPH", "GRAPHS") for attribute in node.attributes.values()):
        return False  # it may run for ever
    return not any(value.is_graph_output() for value in node.outputs)


def _results(model: ir.Model, node: ir.Node) -> list[ir.TensorProtocol] | None:
    import onnx_ir as ir

    source = node.inputs[0] if node.inputs else None
    if node.op_type == "Shape" and source is not None and shapes.is_static(source):
        dims = access.dims(source)[node.attributes.get_int("start", 0) : node.attributes.get_int("end", None)]
        return [ir.tensor(np.asarray(dims, np.int64))]
    if node.op_type == "Size" and source is not None and shapes.is_static(source):
        return [ir.tensor(np.int64(prod(access.dims(source))))]
    if not all(value is None or value.const_value is not None for value in node.inputs):
        return None
    if node.op_type == "ConstantOfShape":
        filled = _filled(node)
        return None if filled is None else [filled]
    return _evaluated(model, node)


def _filled(node: ir.Node) -> ir.TensorProtocol | None:
    import onnx_ir as ir

    sizes, attribute = access.data(node.inputs[0]).numpy(), node.attributes.get("value")
    if sizes.ndim != 1 or sizes.dtype.kind != "i" or (sizes < 0).any():
        return None
    if attribute is not None and (attribute.type != ir.AttributeType.TENSOR or attribute.value.size != 1):
        return None
    shape = tuple(int(size) for size in sizes)
    fill = attribute.value.numpy().reshape(()) if attribute is not None else np.float32(0)
    dtype = attribute.value.dtype if attribute is not None else ir.DataType.FLOAT
    return weights.lazy(partial(np.full, shape, fill, fill.dtype), dtype, shape)


def _evaluated(model: ir.Model, node: ir.Node) -> list[ir.TensorProtocol] | None:
    import onnx_ir as ir

    tensors = [None if value is None else value.const_value for value in node.inputs]
    single = _single(model, node)
    known = all(value.dtype is not None and shapes.is_static(value) for value in node.outputs)
    if known and sum(_bytes(value) for value in node.outputs) > KEPT_BYTES:
        return [
            weights.lazy(partial(_one, single, tensors, index), access.dtype(value), access.dims(value))
            for index, value in enumerate(node.outputs)
        ]
    if not known and node.op_type in GROWING:
        return None
    if sum(tensor.nbytes for tensor in tensors if tensor is not None) > SHOWN_BYTES:
        return None
    try:
        return [ir.tensor(np.asarray(result)) for result in evaluate(single, tensors)]
    except CANNOT_RUN:
        return None


def evaluate(single: onnx.ModelProto, tensors: list[ir.TensorProtocol | None]) -> list[npt.NDArray[np.generic]]:
    """The results of a model of one op, by ONNX's reference evaluator; `tensors` are its inputs in order."""
    from onnx.reference import ReferenceEvaluator

    given = [tensor.numpy() for tensor in tensors if tensor is not None]
    names = [info.name for info in single.graph.input]
    with np.errstate(all="ignore"):
        results = ReferenceEvaluator(single).run(None, dict(zip(names, given, strict=True)))
    return list(results)


def _one(single: onnx.ModelProto, tensors: list[ir.TensorProtocol | None], index: int) -> npt.NDArray[np.generic]:
    return evaluate(single, tensors)[index]


def _single(model: ir.Model, node: ir.Node) -> onnx.ModelProto:
    import onnx
    import onnx_ir as ir
    from onnx import helper

    proto = ir.serde.serialize_node(node)
    given = [f"input_{index}" if value is not None else "" for index, value in enumerate(node.inputs)]
    made = [f"output_{index}" for index in range(len(node.outputs))]
    del proto.input[:], proto.output[:]
    proto.input.extend(given)
    proto.output.extend(made)
    tensors = [(name, access.data(value)) for name, value in zip(given, node.inputs, strict=True) if value]
    inputs = [
        helper.make_tensor_value_info(name, int(tensor.dtype), tensor.shape.numpy()) for name, tensor in tensors
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in made]
    opsets = [helper.make_opsetid(domain, version) for domain, version in model.graph.opset_imports.items()]
    graph = helper.make_graph([proto], "single", inputs, outputs)
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _bytes(value: ir.Value) -> int:
    return prod(access.dims(value)) * access.dtype(value).bitwidth // 8
