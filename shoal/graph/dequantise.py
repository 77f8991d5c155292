"""Weights in whole numbers as ONNX holds them: DequantizeLinear on codes of four or eight bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.formats import Format
from shoal.formats.integer import Integer
from shoal.graph import access, decode
from shoal.graph.shelf import shelved

if TYPE_CHECKING:
    import onnx_ir as ir

OPSET = 21  # whole numbers of four bits, and blocks of them


def fits(packed: decode.Packed) -> bool:
    """Whether it can stand so: fewer bits take up four, five and more take up eight."""
    return isinstance(packed.form, Integer) and (packed.form.group <= 0 or packed.turned)


def node(model: ir.Model, name: str, packed: decode.Packed) -> ir.Node:
    """A new op of `model`, not yet among its ops, with the same output as `decode.node`; of whole numbers only."""
    import onnx_ir as ir

    form = packed.form
    assert isinstance(form, Integer)
    kind = _type(form)
    codes = np.concatenate([part.codes for part in packed.parts]).astype(np.int16)
    codes += 0 if form.affine else int(form.grid.values[0])
    stored = codes.T if packed.turned else codes.reshape(packed.shape)
    scales = _parameter(packed, form, "scales")
    inputs = [
        _weight(model, f"{name}.codes", stored, kind),
        _weight(model, f"{name}.scales", scales, ir.DataType.FLOAT),
    ]
    if form.affine:
        inputs.append(_weight(model, f"{name}.zeros", _parameter(packed, form, "zeros"), kind))
    attributes: dict[str, int] = {}
    if scales.ndim:
        attributes["axis"] = (0 if scales.ndim == 2 else 1) if packed.turned else 0
    if scales.ndim == 2:
        attributes["block_size"] = form.group
    made = ir.node("DequantizeLinear", inputs, attributes or None, name=f"{name}.decode")
    value = made.outputs[0]
    value.name, value.shape = f"{name}.decoded", ir.Shape(packed.shape)
    value.type = ir.TensorType(ir.DataType.FLOAT)
    return made


def _type(form: Integer) -> ir.DataType:
    import onnx_ir as ir

    if form.bits <= 4:
        return ir.DataType.UINT4 if form.affine else ir.DataType.INT4
    return ir.DataType.UINT8 if form.affine else ir.DataType.INT8


def _parameter(packed: decode.Packed, form: Format, name: str) -> NDArray[Any]:
    """Scales or zeros as the op takes them: one, one a row, or (groups, rows)."""
    parts = [np.asarray(part.params[name], np.float32) for part in packed.parts]
    if form.group < 0:
        if len(parts) == 1:
            return parts[0].reshape(())
        return np.repeat(np.concatenate(parts).reshape(-1), len(packed.parts[0].codes))
    whole = np.concatenate(parts)
    return np.ascontiguousarray(whole.T) if form.group > 0 else whole.reshape(-1)


def _weight(model: ir.Model, name: str, values: NDArray[Any], kind: ir.DataType) -> ir.Value:
    return access.constant(model, name, shelved(values.astype(kind.numpy())), kind)
