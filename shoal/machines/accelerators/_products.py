"""Ops that are matrix products, as such: what machines of multipliers are asked most."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from shoal.errors import ModelError
from shoal.machines.accelerators.contract import Array, Arrays, Call, Operand

KINDS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Product:
    """`batch` products of (rows, inner) with (inner, columns); of a convolution: places, a filter, filters of a group."""

    call: Call
    batch: int
    rows: int
    inner: int
    columns: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.batch * self.rows * self.inner * self.columns

    def left(self, data: Arrays) -> Array:
        """Shape (batch, rows, inner)."""
        return _left(self, _value(_input(self.call, 0), data))

    def right(self, data: Arrays) -> Array:
        """Shape (batch, inner, columns)."""
        return _right(self, _value(_input(self.call, 1), data))

    def finished(self, sums: Array, data: Arrays) -> dict[str, Array]:
        """The op's output from sums in float, shape (batch, rows, columns): scaled, biased, in its own shape."""
        call = self.call
        out = call.outputs[0]
        if call.kind == "Conv":
            images, groups = out.shape[0], self.batch
            placed = sums.reshape(groups, images, -1, self.columns).transpose(1, 0, 3, 2)
            found = placed.reshape(images, groups * self.columns, -1) + _bias(call, data)[:, None]
        elif call.kind == "Gemm":
            found = call.attributes.get("alpha", 1.0) * sums + call.attributes.get("beta", 1.0) * _bias(call, data)
        else:
            found = sums
        return {out.name: np.ascontiguousarray(found.reshape(out.shape), dtype=out.dtype)}


def product(call: Call, where: str) -> Product:
    """`call` as matrix products.

    Args:
        call: a MatMul, Gemm or Conv in floating point.
        where: the machine, for the error.

    Raises:
        ModelError: it is another op, or has attributes that no machine here takes.
    """
    if call.kind not in KINDS:
        raise ModelError(f"no unit for '{call.kind}'", where=f"{where}, op '{call.name}'", needed=", ".join(KINDS))
    left, right, out = _input(call, 0), _input(call, 1), call.outputs[0]
    if call.kind == "Gemm":
        rows, columns = out.shape
        return Product(call, 1, rows, prod(left.shape) // rows, columns)
    if call.kind == "MatMul":
        if min(len(left.shape), len(right.shape)) < 2:
            raise ModelError("no unit for products of single vectors", where=f"{where}, op '{call.name}'")
        if len(right.shape) == 2:  # one matrix for all: its rows one below another
            return Product(call, 1, prod(left.shape[:-1]), left.shape[-1], right.shape[-1])
        return Product(call, prod(out.shape[:-2]), left.shape[-2], left.shape[-1], right.shape[-1])
    return _convolution(call, where)


def _convolution(call: Call, where: str) -> Product:
    weights, out, groups = _input(call, 1), call.outputs[0], call.attributes.get("group", 1)
    if call.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise ModelError("no unit for padding chosen by itself", where=f"{where}, op '{call.name}'")
    places = out.shape[0] * prod(out.shape[2:])
    return Product(call, groups, places, prod(weights.shape[1:]), weights.shape[0] // groups)


def _left(self: Product, values: Array) -> Array:
    if self.call.kind == "Conv":
        return _patches(self, values)
    if self.call.kind == "Gemm" and self.call.attributes.get("transA", 0):
        values = values.T
    if self.batch > 1:
        values = np.broadcast_to(values, (*self.call.outputs[0].shape[:-2], self.rows, self.inner))
    return np.ascontiguousarray(values.reshape(self.batch, self.rows, self.inner))


def _right(self: Product, values: Array) -> Array:
    if self.call.kind == "Conv":
        parts = values.reshape(self.batch, self.columns, self.inner)
        return np.ascontiguousarray(parts.transpose(0, 2, 1))
    if self.call.kind == "Gemm" and self.call.attributes.get("transB", 0):
        values = values.T
    if self.batch > 1:
        values = np.broadcast_to(values, (*self.call.outputs[0].shape[:-2], self.inner, self.columns))
    return np.ascontiguousarray(values.reshape(self.batch, self.inner, self.columns))


def _patches(self: Product, images: Array) -> Array:
    """What filters see, shape (groups, images × places, channels of a group × filter)."""
    call, weights = self.call, _input(self.call, 1)
    kernel = weights.shape[2:]
    flat = len(kernel)
    strides = call.attributes.get("strides") or [1] * flat
    steps = call.attributes.get("dilations") or [1] * flat
    pads = call.attributes.get("pads") or [0] * (2 * flat)
    padded = np.pad(images, [(0, 0), (0, 0), *zip(pads[:flat], pads[flat:], strict=True)])
    reach = tuple((size - 1) * step + 1 for size, step in zip(kernel, steps, strict=True))
    seen = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + flat)))
    seen = seen[(slice(None), slice(None), *(slice(None, None, each) for each in strides),
                 *(slice(None, None, each) for each in steps))]  # fmt: skip
    count, channels = images.shape[:2]
    places = seen.shape[2 : 2 + flat]
    grouped = seen.reshape(count, self.batch, channels // self.batch, *places, *kernel)
    moved = np.moveaxis(grouped, 2, 2 + flat)  # the channels of a group behind the places
    return np.ascontiguousarray(moved.swapaxes(0, 1).reshape(self.batch, self.rows, self.inner))


def _bias(call: Call, data: Arrays) -> Array:
    operand = call.inputs[2] if len(call.inputs) > 2 else None
    return np.zeros(1, np.float32) if operand is None else _value(operand, data)


def _value(operand: Operand, data: Arrays) -> Array:
    return operand.values if operand.constant else data[operand.name]


def _input(call: Call, place: int) -> Operand:
    operand = call.inputs[place]
    if operand is None:
        raise ModelError(f"'{call.kind}' without its input {place}", where=call.name)
    return operand
