"""Shapes: what the user fixes, and what follows from it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from shoal.errors import ModelError
from shoal.graph.tidy import label

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

KNOWN_VALUE_BYTES = 1 << 14  # constants up to here are shown to shape inference: axes, targets, sizes
OLDEST_IR_VERSION = 4  # the first that lets a weight stand outside the inputs


def bind(model: ir.Model, shapes: Mapping[str, tuple[int, ...]], sizes: Mapping[str, int], where: str) -> None:
    """Fix the inputs' shapes and forget every shape that was written behind them.

    Args:
        model: changed in place.
        shapes: input name to its full shape.
        sizes: symbolic dimension name to its size; a dimension an input's given shape fixes counts too.
        where: the file, for messages.

    Raises:
        ModelError: an unknown input or dimension, a size that contradicts the file, or one left open.
    """
    import onnx_ir as ir

    inputs = {value.name or "": value for value in model.graph.inputs}
    for value in inputs.values():
        if value.shape is not None:
            value.shape = ir.Shape([dim if _says_something(dim) else None for dim in value.shape])
    _refuse_unknown(shapes, inputs, "input", where)
    known = dict(sizes)
    for name, shape in shapes.items():
        _match(inputs[name], shape, known, where)
    dims = [dim for value in inputs.values() for dim in value.shape or ()]
    symbols = {dim.value for dim in dims if not isinstance(dim, int) and dim.value}
    _refuse_unknown(sizes, symbols, "dimension", where)
    for name, value in inputs.items():
        value.shape = ir.Shape(shapes[name]) if name in shapes else _bound(value, known, where)
    for node in model.graph:
        for value in node.outputs:
            value.shape = None


def check(model: ir.Model, where: str) -> None:
    """Refuse what breaks ONNX's own rules: tensors read and never made, made twice, wrong attributes.

    Raises:
        ModelError: saying which rule.
    """
    import onnx
    import onnx_ir as ir

    try:
        proto = skeleton(model)
        for info in (*proto.graph.input, *proto.graph.output):
            # The checker wants a type and a shape everywhere; it does not look at what they say.
            info.type.tensor_type.shape.SetInParent()
            info.type.tensor_type.elem_type = info.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, ir.serde.SerdeError) as fault:
        raise ModelError(f"not a valid ONNX model: {' '.join(str(fault).split())}", where=where) from fault


def infer(model: ir.Model, where: str, strict: bool = False) -> None:
    """Work out type and shape of every tensor from the inputs', by ONNX's own inference.

    Weights go in as typed inputs without their values, small ones apart, so any size of model fits.

    Raises:
        ModelError: an op cannot take what it is given.
    """
    import onnx

    try:
        inferred = onnx.shape_inference.infer_shapes(
            skeleton(model), check_type=strict, strict_mode=strict, data_prop=True
        )
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError) as fault:
        reason = " ".join(str(fault).split())
        raise ModelError(f"the shapes do not fit: {reason}", where=where) from fault
    found = {info.name: info for info in [*inferred.graph.value_info, *inferred.graph.output]}
    for node in model.graph:
        for value in node.outputs:
            if value.name in found:
                _take(value, found[value.name])


def require_static(model: ir.Model, where: str) -> None:
    """Refuse a model with a tensor whose shape still depends on data.

    Raises:
        ModelError: naming the first such op.
    """
    for node in model.graph:
        for value in node.outputs:
            if not (value.uses() or value.is_graph_output()):
                continue
            if value.dtype is None or not is_static(value):
                infer(model, where, strict=True)  # says why, if ONNX knows
                raise ModelError(
                    f"the shape of '{value.name}', made by {node.op_type}, is not known before running",
                    where=f"{where}: op '{label(node)}'",
                    had=f"shape {value.shape}",
                )


def is_static(value: ir.Value) -> bool:
    """Whether every dimension of `value` is a number."""
    return value.shape is not None and all(isinstance(dim, int) for dim in value.shape)


def skeleton(model: ir.Model) -> onnx.ModelProto:
    """The model as ONNX with its large weights left out: they stand among the inputs, typed."""
    import onnx
    import onnx_ir as ir

    graph = model.graph
    proto = onnx.ModelProto(ir_version=max(model.ir_version, OLDEST_IR_VERSION))
    for domain, version in graph.opset_imports.items():
        proto.opset_import.append(onnx.OperatorSetIdProto(domain=domain, version=version))
    proto.graph.name = graph.name or "graph"
    proto.graph.input.extend(ir.serde.serialize_value(value) for value in graph.inputs)
    for value in graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.nbytes <= KNOWN_VALUE_BYTES:
            if isinstance(tensor, ir.ExternalTensor):
                tensor = ir.Tensor(tensor.numpy(), dtype=tensor.dtype)
            tensor.name = value.name
            proto.graph.initializer.append(ir.serde.serialize_tensor(tensor))
        else:
            proto.graph.input.append(ir.serde.serialize_value(value))
    proto.graph.node.extend(ir.serde.serialize_node(node) for node in graph)
    proto.graph.output.extend(ir.serde.serialize_value(value) for value in graph.outputs)
    return proto


def _refuse_unknown(given: Mapping[str, object], known: Iterable[str], what: str, where: str) -> None:
    names = sorted(known)
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or 'none'}"
            raise ModelError(f"the model has no {what} '{name}'", where=where, hint=hint)


def _says_something(dim: int | ir.SymbolicDim) -> bool:
    """Whether `dim` is a size or a name: some exporters write an open dimension as -1, 0 or "?"."""
    return dim > 0 if isinstance(dim, int) else any(letter.isalnum() for letter in str(dim.value or ""))


def _match(value: ir.Value, shape: tuple[int, ...], known: dict[str, int], where: str) -> None:
    place = f"{where}: input '{value.name}'"
    if any(size <= 0 for size in shape):
        raise ModelError("a shape needs positive sizes", where=place, had=_text(shape))
    if value.shape is None:
        return
    if len(shape) != len(value.shape):
        raise ModelError(
            "the given shape has another rank", where=place, needed=_text(value.shape), had=_text(shape)
        )
    for size, dim in zip(shape, value.shape, strict=True):
        wanted = dim if isinstance(dim, int) else known.setdefault(str(dim), size) if dim.value else size
        if wanted != size:
            raise ModelError(
                f"the given shape contradicts dimension {dim}",
                where=place,
                needed=_text(value.shape),
                had=_text(shape),
            )


def _bound(value: ir.Value, sizes: Mapping[str, int], where: str) -> ir.Shape:
    import onnx_ir as ir

    place = f"{where}: input '{value.name}'"
    if not isinstance(value.type, ir.TensorType):
        raise ModelError("it is of a kind that cannot travel", where=place, had=str(value.type))
    if value.shape is None:
        raise ModelError("its shape is left open", where=place, hint=f"--shape {value.name}=1,3,224,224")
    dims = [dim if isinstance(dim, int) else sizes.get(str(dim), dim) for dim in value.shape]
    for index, dim in enumerate(dims):
        if not isinstance(dim, int):
            example = ",".join(str(size) for size in _example(dims))
            named = f" ('{dim}')" if dim.value else ""
            raise ModelError(
                f"dimension {index}{named} is left open",
                where=place,
                had=f"shape {_text(value.shape)}",
                hint=f"--shape {value.name}={example}",
            )
    return ir.Shape(dims)


def _example(dims: Sequence[object]) -> list[int]:
    """A plausible full shape for the hint: one item, three channels, 224 pixels or 128 steps."""
    guess = [1, 3, 224, 224] if len(dims) == 4 else [1, *[128] * len(dims)]
    return [dim if isinstance(dim, int) else guess[index] for index, dim in enumerate(dims)]


def _text(shape: Iterable[object]) -> str:
    return ",".join("?" if str(dim) == "None" else str(dim) for dim in shape)


def _take(value: ir.Value, info: onnx.ValueInfoProto) -> None:
    import onnx_ir as ir

    if info.type.WhichOneof("value") != "tensor_type":
        return
    kind = info.type.tensor_type
    if kind.elem_type:
        value.type = ir.TensorType(ir.DataType(kind.elem_type))
    if kind.HasField("shape"):
        value.shape = ir.Shape([dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim])
