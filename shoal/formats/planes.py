"""Bit planes with a scale each: x = z + Σ s_j · c_j, the hierarchical linear quantisation (HLQ).

Source: ELUTQ, arXiv 2510.19482. Uniform affine numbers are the case s_j = s · 2^j; free scales give levels that fit
better, and a kernel that adds up planes by table lookup costs the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import _bits, _scales
from shoal.formats._grid import checked, counts, grouped, spread, weight_of
from shoal.formats.contract import Coded, Codes, Matrix, Params, Streams

_SHORT = re.compile(r"hlq([1-4])(?:g(\d+))?")
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Planes:
    """So many planes; a code has one bit of each. Short: "hlq2g64", "hlq3" (a scale a row)."""

    bits: int = 2
    group: int = 128  # columns that share scales: 0 a row, -1 all
    rounds: int = 10  # of nearest levels and least squares in turn; neither makes the error larger

    by_column = True

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 4:
            raise InputError("so many planes are not stored", where="planes", needed="1 to 4", had=str(self.bits))

    def fit(self, weights: Matrix, importance: Floats | None = None) -> Params:
        """See `Format.fit`. The best of two starts: the whole range, and 0.7 of it."""
        given = checked(weights, self.group)
        values = grouped(given, self.group)
        weight = np.broadcast_to(weight_of(importance, (given.shape[0], given.shape[1]), self.group), values.shape)
        tried = [self._fitted(values, weight, share) for share in (1.0, 0.7)]
        errors = [self._error(values, weight, *each) for each in tried]
        better = (errors[1] < errors[0])[..., None]
        scales = np.where(better, tried[1][0], tried[0][0])
        zeros = np.where(better[..., 0], tried[1][1], tried[0][1])
        return {"scales": scales, "zeros": zeros}

    def assign(self, weights: Matrix, params: Params) -> Codes:
        """See `Format.assign`."""
        levels, order = self._sorted(params, weights.shape[1])
        found = _count_above(levels, weights, middles=True)
        return np.take_along_axis(order, found[..., None], axis=-1)[..., 0].astype(np.uint8)

    def decode(self, codes: Codes, params: Params) -> Matrix:
        """See `Format.decode`."""
        columns = codes.shape[1]
        made = np.broadcast_to(spread(params["zeros"], columns, self.group), codes.shape).copy()
        for plane in range(self.bits):
            made += spread(params["scales"][..., plane], columns, self.group) * ((codes >> plane) & 1)
        return made

    def bracket(self, weights: Matrix, params: Params) -> tuple[Codes, Codes]:
        """See `Format.bracket`."""
        levels, order = self._sorted(params, weights.shape[1])
        below = np.clip(_count_above(levels, weights, middles=False) - 1, 0, 2**self.bits - 2)
        pick = (np.take_along_axis(order, (below + step)[..., None], axis=-1)[..., 0] for step in (0, 1))
        low, high = (each.astype(np.uint8) for each in pick)
        return low, high

    def pack(self, coded: Coded) -> Streams:
        """See `Format.pack`. The planes stand one after another, the lowest first."""
        planes = [_bits.packed(((coded.codes >> plane) & 1).astype(np.uint8), 1) for plane in range(self.bits)]
        if coded.codes.size and int(coded.codes.max()) >> self.bits:
            raise InputError("a code that the format does not have", needed=f"below {2**self.bits}")
        both = {name: _signed(coded.params[name]) for name in ("scales", "zeros")}
        return {"codes": np.concatenate(planes), **both}

    def unpack(self, streams: Streams, shape: tuple[int, int]) -> Coded:
        """See `Format.unpack`."""
        size, count = counts(shape, self.group), shape[0] * shape[1]
        data = streams["codes"]
        if data.size != self.bits * -(-count // 8):
            raise InputError("planes are cut off", needed=f"{self.bits * -(-count // 8)} bytes", had=str(data.size))
        codes = np.zeros(count, np.uint8)
        for plane, part in enumerate(np.split(data, self.bits)):
            codes |= _bits.unpacked(part, 1, count) << np.uint8(plane)
        scales = _scales.decoded("float16", streams["scales"], (*size, self.bits))
        return Coded(
            codes.reshape(shape), {"scales": scales, "zeros": _scales.decoded("float16", streams["zeros"], size)}
        )

    def stored_bits(self, shape: tuple[int, int]) -> int:
        """See `Format.stored_bits`."""
        rows, columns = counts(shape, self.group)
        return 8 * self.bits * -(-shape[0] * shape[1] // 8) + 16 * (self.bits + 1) * rows * columns

    def _fitted(self, values: Floats, weight: Floats, share: float) -> tuple[Floats, Floats]:
        """Scales and zeros of each group, (rows, columns, planes) and (rows, columns), as stored."""
        least, most = values.min(axis=2), values.max(axis=2)
        middle, half = (least + most) / 2, (most - least) / 2 * np.float32(share)
        step = 2 * half / np.float32(2**self.bits - 1)
        scales = step[..., None] * (2.0 ** np.arange(self.bits, dtype=np.float32))
        zeros = middle - half
        for _ in range(self.rounds):
            scales, zeros = self._solved(values, weight, self._codes(values, scales, zeros), scales, zeros)
        return _half(scales), _half(zeros)

    def _solved(
        self, values: Floats, weight: Floats, codes: Codes, scales: Floats, zeros: Floats
    ) -> tuple[Floats, Floats]:
        """Least squares for these codes. A plane that is all alike keeps its scale: a little of the old is added."""
        ones = [((codes >> plane) & 1).astype(np.float32) for plane in range(self.bits)]
        basis = np.stack([*ones, np.ones_like(values)], axis=-1)
        heavy = basis * weight[..., None]
        normal = np.einsum("rgni,rgnj->rgij", heavy, basis).astype(np.float64)
        before = np.concatenate([scales, zeros[..., None]], axis=-1).astype(np.float64)
        damp = 1e-7 * np.maximum(np.trace(normal, axis1=2, axis2=3), 1e-30)[..., None]
        normal += damp[..., None] * np.eye(self.bits + 1)
        right = np.einsum("rgni,rgn->rgi", heavy, values) + damp * before
        found = np.linalg.solve(normal, right[..., None])[..., 0].astype(np.float32)
        return found[..., : self.bits], found[..., self.bits]

    def _codes(self, values: Floats, scales: Floats, zeros: Floats) -> Codes:
        levels, order = _levels(scales, zeros, self.bits)
        found = _count_above(levels[:, :, None, :], values, middles=True)
        picked = np.take_along_axis(
            np.broadcast_to(order[:, :, None, :], (*values.shape, order.shape[-1])), found[..., None], axis=-1
        )
        return picked[..., 0].astype(np.uint8)

    def _error(self, values: Floats, weight: Floats, scales: Floats, zeros: Floats) -> Floats:
        levels, _ = _levels(scales, zeros, self.bits)
        found = _count_above(levels[:, :, None, :], values, middles=True)
        made = np.take_along_axis(
            np.broadcast_to(levels[:, :, None, :], (*values.shape, levels.shape[-1])), found[..., None], axis=-1
        )
        error: Floats = (weight * (values - made[..., 0]) ** 2).sum(axis=2)
        return error

    def _sorted(self, params: Params, columns: int) -> tuple[Floats, NDArray[np.intp]]:
        levels, order = _levels(params["scales"], params["zeros"], self.bits)
        if self.group > 0:
            return np.repeat(levels, self.group, axis=1)[:, :columns], np.repeat(order, self.group, axis=1)[
                :, :columns
            ]
        return levels, order


def _levels(scales: Floats, zeros: Floats, bits: int) -> tuple[Floats, NDArray[np.intp]]:
    """The values that there are, ascending, and the code of each."""
    codes = (np.arange(2**bits)[:, None] >> np.arange(bits)) & 1
    values = (scales @ codes.T.astype(np.float32) + zeros[..., None]).astype(np.float32)
    order = np.argsort(values, axis=-1, kind="stable")
    return np.take_along_axis(values, order, axis=-1), order


def _count_above(levels: Floats, values: Floats, *, middles: bool) -> NDArray[np.intp]:
    """How many levels (of the middles between two: steps) each value lies above."""
    marks = (levels[..., 1:] + levels[..., :-1]) / 2 if middles else levels
    found = np.zeros(values.shape, np.intp)
    for index in range(marks.shape[-1]):
        found += values > marks[..., index] if middles else values >= marks[..., index]
    return found


def _half(values: Floats) -> Floats:
    return np.clip(values, -65504, 65504).astype(np.float16).astype(np.float32)


def _signed(values: Floats) -> NDArray[np.uint8]:
    if not np.array_equal(_half(values), values):
        raise InputError("a parameter that float16 cannot hold")
    return _scales.encoded("float16", values)


def short(name: str) -> Planes | None:
    """The format of a short name, if it is one of these."""
    found = _SHORT.fullmatch(name)
    return Planes(int(found[1]), int(found[2] or 0)) if found else None
