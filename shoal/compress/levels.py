"""Activations in few values: equal steps for a whole tensor, or steps that grow with the magnitude, a unit a channel.

The second kind is LogNP of QuartDepth, arXiv 2503.16709: what is rounded is φ(x) = sign(x)·ln(1 + |x|/α), and a table
gives for each code the whole number of eight bits that products multiply, so that a multiplier never sees a logarithm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.graph import access

if TYPE_CHECKING:
    import onnx_ir as ir

F32 = NDArray[np.float32]
ENDS = np.linspace(1.0, 0.3, 15)  # of a range, tried
UNITS = np.geomspace(1 / 16, 16, 10)  # of a channel's unit, over its median magnitude, tried
LARGEST = 127  # in the table
TINY = 1e-30


@dataclass(frozen=True)
class Steps:
    """x = scale · (code − zero), code from 0 to 2^bits − 1."""

    scale: float
    zero: int
    bits: int

    @property
    def told(self) -> str:
        """In words."""
        return f"{self.bits} bits"

    def rounded(self, x: NDArray[Any]) -> F32:
        """What is left of `x`."""
        codes = np.clip(np.rint(x / np.float32(self.scale)) + self.zero, 0, 2**self.bits - 1)
        found: F32 = ((codes - self.zero) * np.float32(self.scale)).astype(np.float32)
        return found

    def nodes(self, model: ir.Model, value: ir.Value) -> list[ir.Node]:
        """Ops of ONNX that do the same to `value`; the last one gives what is left."""
        made = coded(model, value, self.scale, self.zero, self.bits)
        read = [made[-1].outputs[0], *made[-1].inputs[1:3]]
        return [*made, _node("DequantizeLinear", read, f"{value.name}.left", value)]


@dataclass(frozen=True, eq=False)
class Curve:
    """x = unit · table[code]; the code is φ(x) in equal steps, from 0 to 2^bits − 1."""

    alpha: F32  # (channels,): below it steps are nearly equal, above it they grow with the magnitude
    step: float  # of φ
    zero: int  # the code of 0
    bits: int
    axis: int  # of the channels, from the end: -1 for rows, -3 for pictures

    @property
    def told(self) -> str:
        """In words."""
        return f"{self.bits} bits, logarithmic"

    @property
    def table(self) -> NDArray[np.int8]:
        """(2^bits,), for each code a whole number from −127 to 127, the largest magnitude being 127."""
        values = self._values()
        whole: NDArray[np.int8] = np.rint(values * (LARGEST / np.abs(values).max())).astype(np.int8)
        return whole

    @property
    def units(self) -> F32:
        """What 1 in the table stands for in each channel, in a shape that broadcasts to the tensor's."""
        return self._shaped(self.alpha * np.float32(np.abs(self._values()).max() / LARGEST))

    def rounded(self, x: NDArray[Any]) -> F32:
        """What is left of `x`."""
        ratio = x / self._shaped(self.alpha)
        phi = np.sign(ratio) * np.log(np.abs(ratio) + np.float32(1))
        codes = np.clip(np.rint(phi / np.float32(self.step)) + self.zero, 0, 2**self.bits - 1)
        found: F32 = self.table.astype(np.float32)[codes.astype(np.intp)] * self.units
        return found

    def nodes(self, model: ir.Model, value: ir.Value) -> list[ir.Node]:
        """Ops of ONNX that do the same to `value`; the last one gives what is left."""
        import onnx_ir as ir

        name = f"{value.name}.curve"
        alpha = access.constant(model, f"{name}.alpha", self._shaped(self.alpha))
        one = access.constant(model, f"{name}.one", np.array(1, np.float32))
        ratio = _node("Div", [value, alpha], f"{name}.ratio", value)
        size = _node("Abs", ratio.outputs, f"{name}.size", value)
        more = _node("Add", [size.outputs[0], one], f"{name}.more", value)
        log = _node("Log", more.outputs, f"{name}.log", value)
        sign = _node("Sign", ratio.outputs, f"{name}.sign", value)
        phi = _node("Mul", [sign.outputs[0], log.outputs[0]], f"{name}.phi", value)
        codes = coded(model, phi.outputs[0], self.step, self.zero, self.bits)
        index = _node("Cast", codes[-1].outputs, f"{name}.index", value, "INT32", {"to": ir.DataType.INT32.value})
        table = access.constant(model, f"{name}.table", self.table)
        found = _node("Gather", [table, index.outputs[0]], f"{name}.found", value, "INT8")
        units, axis = (
            access.constant(model, f"{name}.units", self.units.reshape(-1)),
            len(access.dims(value)) + self.axis,
        )
        left = _node(
            "DequantizeLinear", [found.outputs[0], units], f"{value.name}.left", value, "FLOAT", {"axis": axis}
        )
        return [ratio, size, more, log, sign, phi, *codes, index, found, left]

    def _values(self) -> F32:
        """What the codes stand for, over α."""
        phi = (np.arange(2**self.bits) - self.zero) * np.float32(self.step)
        found: F32 = (np.sign(phi) * (np.exp(np.abs(phi)) - 1)).astype(np.float32)
        return found

    def _shaped(self, by_channel: F32) -> F32:
        return by_channel.reshape(-1, *(1,) * (-1 - self.axis))


Levels = Steps | Curve


def steps(values: F32, ends: tuple[float, float], bits: int, narrow: bool) -> Steps:
    """Equal steps between the ends, or, if it may be `narrow`, between those nearer to 0 with the least squared error.

    Args:
        values: some of the tensor's.
        ends: the least and the largest of all.
        bits: 2 to 8.
        narrow: whether the ends may be left out.
    """
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    whole = _between(low, high, bits)
    if not narrow or low == high:
        return whole
    lows = ENDS if low < 0 else ENDS[:1]
    tried = (_between(low * one, high * other, bits) for one in lows for other in ENDS)
    return min(tried, key=lambda each: lost(each, values))


def curve(values: F32, ends: tuple[F32, F32], bits: int, axis: int) -> Curve:
    """Logarithmic steps with the least squared error, of several units and ranges.

    Args:
        values: some of the tensor's, the channels last: (places, channels).
        ends: the least and the largest of each channel.
        bits: 2 to 8.
        axis: of the channels in the tensor, from the end.
    """
    best = min(_curves(values, ends, bits), key=lambda each: lost(each, values))
    return replace(best, axis=axis)


def lost(levels: Levels, values: F32) -> float:
    """The mean squared error."""
    return float(np.mean((levels.rounded(values) - values) ** 2, dtype=np.float64))


def coded(model: ir.Model, value: ir.Value, scale: float, zero: int, bits: int) -> list[ir.Node]:
    """Ops that give the codes of `value` in equal steps, in uint8."""
    name, most = value.name, 2**bits - 1
    low, high = (
        access.constant(model, f"{name}.{end}", np.array((code - zero) * scale, np.float32))
        for end, code in (("low", 0), ("high", most))
    )
    inside = _node("Clip", [value, low, high], f"{name}.inside", value)
    factor = access.constant(model, f"{name}.scale", np.array(scale, np.float32))
    nought = access.constant(model, f"{name}.zero", np.array(zero, np.uint8))
    return [inside, _node("QuantizeLinear", [inside.outputs[0], factor, nought], f"{name}.codes", value, "UINT8")]


def _curves(values: F32, ends: tuple[F32, F32], bits: int) -> Iterator[Curve]:
    """Units around the channels' medians, ranges up to the largest values."""
    medians = _medians(values)
    for unit in UNITS:
        alpha = (medians * unit).astype(np.float32)
        low, high = _phi_ends(ends, alpha)
        for share in ENDS[:8]:
            even = _between(low * share, high * share, bits)
            yield Curve(alpha, even.scale, even.zero, bits, -1)


def _phi_ends(ends: tuple[F32, F32], alpha: F32) -> tuple[float, float]:
    least, largest = np.minimum(ends[0], 0), np.maximum(ends[1], 0)
    return -float(np.log1p(-least / alpha).max()), float(np.log1p(largest / alpha).max())


def _medians(values: F32) -> F32:
    """Of each channel's magnitudes but zeros; a channel of nothing else takes what is usual in the tensor."""
    sizes = np.where(values == 0, np.nan, np.abs(values))
    known = ~np.isnan(sizes).all(axis=0)
    found = np.ones(values.shape[1], np.float32)
    if known.any():
        found[known] = np.nanmedian(sizes[:, known], axis=0)
        found[~known] = np.median(found[known])
    return np.maximum(found, TINY).astype(np.float32)


def _between(low: float, high: float, bits: int) -> Steps:
    most = 2**bits - 1
    if high == low:
        return Steps(1.0, 0, bits)
    scale = max(float(np.float32((high - low) / most)), TINY)
    return Steps(scale, int(np.clip(round(-low / scale), 0, most)), bits)


def _node(
    kind: str,
    inputs: Sequence[ir.Value | None],
    name: str,
    like: ir.Value,
    held: str = "FLOAT",
    attributes: dict[str, int] | None = None,
) -> ir.Node:
    """A new op whose output has the shape of another value."""
    import onnx_ir as ir

    made = ir.node(kind, list(inputs), attributes, name=name)
    out = made.outputs[0]
    out.name, out.shape, out.type = name, like.shape, ir.TensorType(ir.DataType[held])
    return made
