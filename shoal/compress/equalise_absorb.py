"""Where factors along a tensor's channels can go: into constants of the ops that make it, so that no op is added.

A factor is an array of the tensor's rank that broadcasts to its shape; all of it is positive, so that it passes through
Relu and MaxPool as it does through sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.graph import access

if TYPE_CHECKING:
    import onnx_ir as ir

Factor = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Edit:
    """A constant that an op is to read instead of the one it has."""

    node: ir.Node
    index: int  # of the op's input
    array: NDArray[np.float32]


Edits = list[Edit] | None  # none: it cannot be done


def absorbed(value: ir.Value, factor: Factor) -> Edits:
    """What to edit for `value` to come out multiplied by `factor`; none if the ops that make it cannot take it up.

    Nothing else changes: what is edited on the way has no reader but the next op towards `value`.
    """
    node = value.producer()
    if node is None or node.domain or value is not node.outputs[0]:
        return None
    rule = _RULES.get(node.op_type)
    return rule(node, factor) if rule else None


def _inside(value: ir.Value | None, factor: Factor) -> Edits:
    """Like `absorbed`, of an op's input: nothing else may read it, and it may be of lower rank than the factor."""
    if value is None or value.is_graph_output() or len(list(value.uses())) != 1:
        return None
    dims = access.dims(value)
    more = factor.ndim - len(dims)
    if more < 0 or not set(factor.shape[:more]) <= {1}:
        return None
    sizes = factor.shape[more:]
    if any(size not in (1, had) for size, had in zip(sizes, dims, strict=True)):
        return None
    return absorbed(value, factor.reshape(sizes))


def _edited(node: ir.Node, index: int, factor: Factor) -> Edits:
    """A constant input times the factor; nothing to do if it is not given."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return []
    if not _constant(value):
        return None
    had = access.data(value).numpy()
    array = (had * factor).astype(np.float32)
    while array.ndim > max(1, had.ndim) and array.shape[0] == 1:  # a bias stays a vector
        array = array[0]
    return [Edit(node, index, array)]


def _constant(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None and value.const_value.dtype.name == "FLOAT"


def _all(*parts: Edits) -> Edits:
    found: list[Edit] = []
    for part in parts:
        if part is None:
            return None
        found += part
    return found


def _along(factor: Factor, axis: int) -> Factor | None:
    """The factor as a vector, if it varies along no other axis."""
    return factor.reshape(-1) if factor.size == factor.shape[axis] else None


def _attribute(node: ir.Node, name: str, default: Any) -> Any:
    return node.attributes[name].value if name in node.attributes else default


def _last_norm(node: ir.Node, factor: Factor) -> Edits:
    vector = _along(factor, -1)
    if vector is None or _attribute(node, "axis", -1) % factor.ndim != factor.ndim - 1:
        return None
    return _all(_edited(node, 1, vector), _edited(node, 2, vector))


def _channel_norm(node: ir.Node, factor: Factor) -> Edits:
    vector = _along(factor, 1)
    return None if vector is None else _all(_edited(node, 1, vector), _edited(node, 2, vector))


def _conv(node: ir.Node, factor: Factor) -> Edits:
    vector = _along(factor, 1)
    if vector is None:
        return None
    rows = vector.reshape(-1, *(1,) * (factor.ndim - 1))
    return _all(_edited(node, 1, rows), _edited(node, 2, vector))


def _gemm(node: ir.Node, factor: Factor) -> Edits:
    vector = _along(factor, -1)
    if vector is None:
        return None
    rows = vector[:, None] if _attribute(node, "transB", 0) else vector
    return _all(_edited(node, 1, rows), _edited(node, 2, vector))


def _matmul(node: ir.Node, factor: Factor) -> Edits:
    """By its second operand, weights or not: it has the columns of the result."""
    right = node.inputs[1]
    if len(access.dims(right)) < 2:
        return None
    if _constant(right):
        vector = _along(factor, -1)
        return None if vector is None else _edited(node, 1, vector)
    return _inside(right, factor) if factor.shape[-2] == 1 else None


def _product(node: ir.Node, factor: Factor) -> Edits:
    """One of the two takes it, best a constant."""
    for index, value in enumerate(node.inputs):
        if _constant(value):
            return _edited(node, index, factor)
    found = (_inside(value, factor) for value in node.inputs)
    return next((each for each in found if each is not None), None)


def _quotient(node: ir.Node, factor: Factor) -> Edits:
    if _constant(node.inputs[1]):
        return _edited(node, 1, 1 / factor)
    return _edited(node, 0, factor) if _constant(node.inputs[0]) else _inside(node.inputs[0], factor)


def _sum(node: ir.Node, factor: Factor) -> Edits:
    return _all(*(
        _edited(node, index, factor) if _constant(value) else _inside(value, factor)
        for index, value in enumerate(node.inputs)
    ))  # fmt: skip


def _passed(node: ir.Node, factor: Factor) -> Edits:
    return _inside(node.inputs[0], factor)


def _pooled(node: ir.Node, factor: Factor) -> Edits:
    return None if _along(factor, 1) is None else _inside(node.inputs[0], factor)


def _reshaped(node: ir.Node, factor: Factor) -> Edits:
    whole = np.broadcast_to(factor, access.dims(node.outputs[0]))
    return _inside(node.inputs[0], _narrowed(whole.reshape(access.dims(node.inputs[0]))))


def _narrowed(factor: Factor) -> Factor:
    """Without repetition along axes where all is alike."""
    for axis in range(factor.ndim):
        first = factor.take([0], axis)
        if (factor == first).all():
            factor = first
    return factor


def _turned(node: ir.Node, factor: Factor) -> Edits:
    order = _attribute(node, "perm", tuple(reversed(range(factor.ndim))))
    return _inside(node.inputs[0], factor.transpose(np.argsort(order)))


def _joined(node: ir.Node, factor: Factor) -> Edits:
    axis = _attribute(node, "axis", 0) % factor.ndim
    if factor.shape[axis] == 1:
        return _all(*(_inside(value, factor) for value in node.inputs))
    ends = np.cumsum([access.dims(value)[axis] for value in node.inputs])
    parts = np.split(factor, ends[:-1], axis)
    return _all(*(_inside(value, part) for value, part in zip(node.inputs, parts, strict=True)))


_RULES: dict[str, Callable[[ir.Node, Factor], Edits]] = {
    "LayerNormalization": _last_norm, "RMSNormalization": _last_norm,
    "BatchNormalization": _channel_norm, "InstanceNormalization": _channel_norm,
    "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul,
    "Mul": _product, "Div": _quotient, "Add": _sum, "Sub": _sum, "Sum": _sum,
    "Relu": _passed, "LeakyRelu": _passed, "PRelu": _passed, "Identity": _passed, "Dropout": _passed,
    "MaxPool": _pooled, "AveragePool": _pooled, "GlobalMaxPool": _pooled, "GlobalAveragePool": _pooled,
    "Reshape": _reshaped, "Flatten": _reshaped, "Squeeze": _reshaped, "Unsqueeze": _reshaped,
    "Transpose": _turned, "Concat": _joined,
}  # fmt: skip
