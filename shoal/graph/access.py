"""Reads of onnx-ir values that must be there once a model is settled; an empty one is a defect of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx_ir as ir


def name(value: ir.Value) -> str:
    """The name of `value`, which every value somebody reads has."""
    if not value.name:
        raise ValueError(f"a value without a name: {value!r}")
    return value.name


def dims(value: ir.Value | None) -> tuple[int, ...]:
    """The static shape of `value`."""
    if value is None or value.shape is None:
        raise ValueError(f"a value without a shape: {value!r}")
    return tuple(value.shape.numpy())


def dtype(value: ir.Value) -> ir.DataType:
    """The element type of `value`."""
    if value.dtype is None:
        raise ValueError(f"a value without a type: {value!r}")
    return value.dtype


def constant(model: ir.Model, name: str, array: NDArray[Any], kind: ir.DataType | None = None) -> ir.Value:
    """A new weight of `model`, of the array's type unless another is said; the one of that name if it is there."""
    import onnx_ir as ir

    if name in model.graph.initializers:
        return model.graph.initializers[name]
    tensor = ir.tensor(np.asarray(array, order="C"), dtype=kind, name=name)
    shape, held = ir.Shape(array.shape), ir.TensorType(tensor.dtype)
    value = ir.Value(name=name, shape=shape, type=held, const_value=tensor)
    model.graph.register_initializer(value)
    return value


def data(value: ir.Value | None) -> ir.TensorProtocol:
    """The tensor of the weight `value`."""
    if value is None or value.const_value is None:
        raise ValueError(f"not a weight: {value!r}")
    return value.const_value
