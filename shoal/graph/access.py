"""Reads of onnx-ir values that must be there once a model is settled; an empty one is a defect of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def data(value: ir.Value | None) -> ir.TensorProtocol:
    """The tensor of the weight `value`."""
    if value is None or value.const_value is None:
        raise ValueError(f"not a weight: {value!r}")
    return value.const_value
