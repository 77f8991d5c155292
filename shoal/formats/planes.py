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
from shoal.formats import _bits, _levels, _scales
from shoal.formats._grid import checked, counts, grouped, spread, weight_of
from shoal.formats._levels import Groups
from shoal.formats.contract import Coded, Codes, Matrix, Params, Streams
from shoal.formats.integer import SEARCHED, Integer

_SHORT = re.compile(r"hlq(\d+)(?:g(\d+))?")
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
        """See `Format.fit`. From several starts; never worse than even levels or whole numbers whose scales are searched."""
        given = checked(weights, self.group)
        values = grouped(given, self.group)
        weight = np.broadcast_to(weight_of(importance, (given.shape[0], given.shape[1]), self.group), values.shape)
        groups = Groups.of(*(each.reshape(-1, values.shape[2]) for each in (values, weight)))
        starts = [each(groups, self.bits) for each in (_levels.even, _levels.halving, _levels.searched)]
        starts += self._uniform(given, importance)
        fitted = (_levels.alternated(groups, start, self.rounds) for start in starts)
        best = _levels.best_of(groups, (*fitted, *starts)).reshape(*values.shape[:2], -1)
        return {"scales": best[..., :-1], "zeros": best[..., -1]}

    def assign(self, weights: Matrix, params: Params) -> Codes:
        """See `Format.assign`."""
        levels, order = self._sorted(params, weights.shape[1])
        found = _above(levels, weights, middles=True)
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
        below = np.clip(_above(levels, weights, middles=False) - 1, 0, 2**self.bits - 2)
        pick = (np.take_along_axis(order, (below + step)[..., None], axis=-1)[..., 0] for step in (0, 1))
        low, high = (each.astype(np.uint8) for each in pick)
        return low, high

    def pack(self, coded: Coded) -> Streams:
        """See `Format.pack`. The planes stand one after another, the lowest first."""
        planes = [_bits.packed(((coded.codes >> plane) & 1).astype(np.uint8), 1) for plane in range(self.bits)]
        if coded.codes.size and int(coded.codes.max()) >> self.bits:
            raise InputError("a code that the format does not have", needed=f"below {2**self.bits}")
        both = {name: _encoded(coded.params[name]) for name in ("scales", "zeros")}
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

    def _uniform(self, weights: Matrix, importance: Floats | None) -> list[Floats]:
        """Affine whole numbers of as many bits, their scales searched; there are none of one bit."""
        if self.bits < 2:
            return []
        found = Integer(self.bits, self.group, affine=True, clip=SEARCHED).fit(weights, importance)
        return [_levels.whole_numbers(found["scales"].reshape(-1), found["zeros"].reshape(-1), self.bits)]

    def _sorted(self, params: Params, columns: int) -> tuple[Floats, NDArray[np.intp]]:
        """The levels of each column, ascending, and the code of each; columns of one group if they are fewer than it has."""
        levels, order = _levels.levels(np.concatenate([params["scales"], params["zeros"][..., None]], axis=-1))
        if self.group < 1:
            return levels, order
        width = min(self.group, columns)
        return np.repeat(levels, width, axis=1)[:, :columns], np.repeat(order, width, axis=1)[:, :columns]


def _above(ascending: Floats, values: Floats, *, middles: bool) -> NDArray[np.intp]:
    """How many levels, or middles between two of them, each value lies above; at the same number it is above a level."""
    marks = (ascending[..., 1:] + ascending[..., :-1]) / 2 if middles else ascending
    found = np.zeros(values.shape, np.intp)
    for index in range(marks.shape[-1]):
        found += values > marks[..., index] if middles else values >= marks[..., index]
    return found


def _encoded(values: Floats) -> NDArray[np.uint8]:
    if not np.array_equal(_levels.stored(values), values):
        raise InputError("a parameter that float16 cannot hold")
    return _scales.encoded("float16", values)


def short(name: str) -> Planes | None:
    """The format of a short name, if it is one of these."""
    found = _SHORT.fullmatch(name)
    return Planes(int(found[1]), int(found[2] or 0)) if found else None
