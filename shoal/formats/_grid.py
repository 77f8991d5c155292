"""Formats whose values are one grid, scaled group by group: x = s · (grid[code] − zero).

Groups: so many columns of a row; 0 is the whole row, -1 the whole matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import _bits, _scales
from shoal.formats._floats import float_rounded
from shoal.formats.contract import Coded, Codes, Matrix, Params, Streams

Floats = NDArray[np.float32]
AT_ONCE = 1 << 15  # values that a scale is sought for


def checked(weights: Matrix, group: int) -> Matrix:
    """`weights` as float32.

    Raises:
        InputError: no matrix, not finite, or of columns that the group does not divide.
    """
    found = np.asarray(weights, np.float32)
    if found.ndim != 2 or not found.size:
        raise InputError("no matrix of weights", needed="(rows, columns)", had=str(found.shape))
    if not np.isfinite(found).all():
        raise InputError("weights that are not finite", had=f"{int((~np.isfinite(found)).sum())} of {found.size}")
    if group > 0 and found.shape[1] % group:
        fit = [each for each in range(1, found.shape[1] + 1) if found.shape[1] % each == 0]
        near = min(fit, key=lambda each: abs(each - group))
        raise InputError(
            f"groups of {group} do not divide {found.shape[1]} columns", hint=f"the nearest that do: {near}"
        )
    return found


def counts(shape: tuple[int, int], group: int) -> tuple[int, int]:
    """Rows and columns of a matrix's parameters."""
    rows, columns = shape
    return (1, 1) if group < 0 else (rows, 1 if group == 0 else columns // group)


def grouped(weights: Matrix, group: int) -> Floats:
    """The values, (parameter rows, parameter columns, values of a group)."""
    return weights.reshape(*counts((weights.shape[0], weights.shape[1]), group), -1)


def spread(each: Floats, columns: int, group: int) -> Floats:
    """A parameter for each column, (rows or 1, columns or 1), of a matrix with so many columns."""
    return np.repeat(each, group, axis=1)[:, :columns] if group > 0 else each


def weight_of(importance: Floats | None, shape: tuple[int, int], group: int) -> Floats:
    """How much each value's error counts, in the groups' shape or one that broadcasts to it."""
    if importance is None:
        return np.ones((1, 1, 1), np.float32)
    if importance.shape != (shape[1],) or not np.isfinite(importance).all() or (importance < 0).any():
        raise InputError("importance needs a figure of at least 0 for each column", had=str(importance.shape))
    if group < 0:
        return np.broadcast_to(importance, shape).reshape(1, 1, -1)
    return importance.reshape(1, counts(shape, group)[1], -1)


@dataclass(frozen=True)
class Grid:
    """The values of a code, ascending, and how codes and scales are stored."""

    values: tuple[float, ...]
    bits: int
    patterns: tuple[int, ...] = ()  # what stands for code i in memory; none: i
    scale: _scales.Kind = "float16"
    rule: str = "ceil"
    whole: _scales.Kind | None = None  # the kind of a second scale, one for the matrix
    digits: tuple[int, int] | None = None  # exponent and mantissa bits, of floating-point numbers

    @cached_property
    def array(self) -> Floats:
        """The values."""
        return np.array(self.values, np.float32)

    @cached_property
    def most(self) -> float:
        """The largest magnitude that there is on both sides."""
        return float(min(-self.array[0], self.array[-1])) if self.array[0] < 0 else float(self.array[-1])

    @cached_property
    def _middles(self) -> Floats:
        return ((self.array[1:] + self.array[:-1]) / 2).astype(np.float32)

    @cached_property
    def _odd(self) -> NDArray[np.bool_]:
        odd: NDArray[np.bool_] = np.asarray(self.patterns or range(len(self.values))) % 2 == 1
        return odd

    def nearest(self, values: Floats) -> Codes:
        """Codes of the nearest grid values; of two that are as near, the one that is even in memory."""
        steps = np.diff(self.array)
        if np.all(steps == steps[0]):
            at = np.rint((values - self.array[0]) / steps[0])
            whole: Codes = np.clip(at, 0, len(self.values) - 1).astype(np.uint8)
            return whole
        found = np.searchsorted(self._middles, values)
        ties = np.take(self._middles, np.minimum(found, len(self._middles) - 1)) == values
        codes: Codes = (found + (ties & self._odd[found])).astype(np.uint8)
        return codes

    def rounded(self, values: Floats) -> Floats:
        """The nearest grid values; of two that are as near, either."""
        return float_rounded(values, *self.digits) if self.digits else self.array[self.nearest(values)]

    def below(self, values: Floats) -> Codes:
        """Codes of the grid values that are not above, the last but one at most."""
        found = np.searchsorted(self.array, values, side="right") - 1
        return np.clip(found, 0, len(self.values) - 2).astype(np.uint8)

    def stored(self, codes: Codes) -> Codes:
        """What stands for the codes in memory."""
        if codes.size and int(codes.max()) >= len(self.values):
            raise InputError("a code that the format does not have", needed=f"below {len(self.values)}")
        return np.take(np.array(self.patterns, np.uint8), codes) if self.patterns else codes

    def restored(self, stored: Codes) -> Codes:
        """The codes for which these stand."""
        table = np.full(256, 255, np.uint8)
        table[list(self.patterns) if self.patterns else slice(0, len(self.values))] = np.arange(len(self.values))
        codes: Codes = np.take(table, stored)
        if codes.size and int(codes.max()) >= len(self.values):
            raise InputError("a bit pattern that stands for no value of the format")
        return codes


def fit_scales(grid: Grid, weights: Matrix, group: int, importance: Floats | None, shares: Floats) -> Params:
    """Scales with which no value clips; or, of these shares of each, that with the least squared error."""
    given = checked(weights, group)
    values = grouped(given, group)
    whole = {}
    unit = np.float32(1)
    if grid.whole is not None:
        unit = _scales.rounded(grid.whole, np.abs(given).max(keepdims=True) / np.float32(448 * grid.most))[0, 0]
        whole = {"whole": np.full((1, 1), unit, np.float32)}
    largest = np.abs(values).max(axis=2) / np.float32(grid.most)
    scales = _scales.rounded(grid.scale, largest / unit, grid.rule) * unit
    if shares.size:
        counts_ = weight_of(importance, (given.shape[0], given.shape[1]), group)
        scales = _searched(grid, values, counts_, scales, unit, shares)
    return {"scales": scales, **whole}


def _searched(
    grid: Grid, values: Floats, counts_: Floats, scales: Floats, unit: np.float32, shares: Floats
) -> Floats:
    """The best scale of each group; so many rows at a time that they stay in the processor's cache."""
    blocks = min(len(values), -(-values.size // AT_ONCE))
    parts = zip(np.array_split(values, blocks), np.array_split(scales, blocks), strict=True)
    return np.concatenate([_best(grid, own, counts_, each, unit, shares) for own, each in parts])


def _best(grid: Grid, values: Floats, counts_: Floats, scales: Floats, unit: np.float32, shares: Floats) -> Floats:
    best = scales.copy()
    least = squared_error(grid, values, counts_, scales)
    for share in shares:
        tried = _scales.rounded(grid.scale, scales / unit * share, grid.rule) * unit
        error = squared_error(grid, values, counts_, tried)
        best = np.where(error < least, tried, best)
        least = np.minimum(error, least)
    return best.astype(np.float32)


def squared_error(grid: Grid, values: Floats, counts_: Floats, scales: Floats) -> Floats:
    """What each group loses with these scales; `values` as `grouped` gives them, `counts_` as `weight_of` does."""
    made = grid.rounded(values / scales[:, :, None]) * scales[:, :, None]
    found: Floats = (counts_ * (values - made) ** 2).sum(axis=2)
    return found


class GridFormat:
    """What all formats on a grid share; a technique has these fields or properties."""

    group: int
    clip: int = 0  # other scales that `fit` tries
    by_column = True  # a column needs its group's scale alone

    @property
    def grid(self) -> Grid:
        """Its values."""
        raise NotImplementedError

    def fit(self, weights: Matrix, importance: Floats | None = None) -> Params:
        """See `Format.fit`."""
        return fit_scales(self.grid, weights, self.group, importance, self.shares())

    def shares(self) -> Floats:
        """The scales that `fit` tries, as shares of those with which nothing clips; none: it searches no further."""
        return np.linspace(1, 0.3, self.clip + 1, dtype=np.float32)[1:]

    def assign(self, weights: Matrix, params: Params) -> Codes:
        """See `Format.assign`."""
        return self.grid.nearest(self._scaled(weights, params))

    def decode(self, codes: Codes, params: Params) -> Matrix:
        """See `Format.decode`."""
        zeros = self._zeros(params, codes.shape[1])
        made = (self.grid.array[codes] - zeros) * spread(params["scales"], codes.shape[1], self.group)
        return made.astype(np.float32)

    def bracket(self, weights: Matrix, params: Params) -> tuple[Codes, Codes]:
        """See `Format.bracket`."""
        below = self.grid.below(self._scaled(weights, params))
        return below, below + np.uint8(1)

    def pack(self, coded: Coded) -> Streams:
        """See `Format.pack`."""
        scales, whole = coded.params["scales"], coded.params.get("whole")
        unit = np.float32(1) if whole is None else whole[0, 0]
        found = {
            "codes": self._code_bytes(self.grid.stored(coded.codes)),
            "scales": _scales.encoded(self.grid.scale, _units(self.grid.scale, scales, unit)),
        }
        if self.grid.whole is not None and whole is not None:
            found["whole"] = _scales.encoded(self.grid.whole, whole)
        if "zeros" in coded.params:
            found["zeros"] = _bits.packed(coded.params["zeros"].astype(np.uint8), self.grid.bits)
        return found

    def unpack(self, streams: Streams, shape: tuple[int, int]) -> Coded:
        """See `Format.unpack`."""
        size = counts(shape, self.group)
        params: dict[str, NDArray[Any]] = {}
        unit = np.float32(1)
        if self.grid.whole is not None:
            params["whole"] = _scales.decoded(self.grid.whole, stream(streams, "whole"), (1, 1))
            unit = params["whole"][0, 0]
        params["scales"] = _scales.decoded(self.grid.scale, stream(streams, "scales"), size) * unit
        if "zeros" in streams:
            zeros = _bits.unpacked(streams["zeros"], self.grid.bits, prod(size))
            params["zeros"] = zeros.astype(np.float32).reshape(size)
        codes = self.grid.restored(self._codes_of(stream(streams, "codes"), prod(shape)))
        return Coded(codes.reshape(shape), params)

    def stored_bits(self, shape: tuple[int, int]) -> int:
        """See `Format.stored_bits`."""
        scales = prod(counts(shape, self.group)) * _scales.BITS[self.grid.scale]
        whole = 0 if self.grid.whole is None else _scales.BITS[self.grid.whole]
        return self._code_bits(prod(shape)) + scales + whole

    def _groups(self, shape: tuple[int, int]) -> int:
        return prod(counts(shape, self.group))

    def _code_bits(self, count: int) -> int:
        return 8 * -(-count * self.grid.bits // 8)

    def _code_bytes(self, stored: Codes) -> Codes:
        return _bits.packed(stored, self.grid.bits)

    def _codes_of(self, data: Codes, count: int) -> Codes:
        return _bits.unpacked(data, self.grid.bits, count)

    def _scaled(self, weights: Matrix, params: Params) -> Floats:
        columns = weights.shape[1]
        scaled: Floats = weights / spread(params["scales"], columns, self.group) + self._zeros(params, columns)
        return scaled

    def _zeros(self, params: Params, columns: int) -> Floats:
        zeros = params.get("zeros")
        return np.zeros((1, 1), np.float32) if zeros is None else spread(zeros, columns, self.group)


def _units(kind: _scales.Kind, scales: Floats, unit: np.float32) -> Floats:
    """The scales as multiples of the matrix's, which are exact."""
    return scales if unit == 1 else _scales.rounded(kind, scales / unit)


def stream(streams: Mapping[str, NDArray[np.uint8]], name: str) -> NDArray[np.uint8]:
    """The bytes of that name.

    Raises:
        InputError: there are none.
    """
    if name not in streams:
        raise InputError(f"the bytes of '{name}' are missing", had=", ".join(sorted(streams)))
    return streams[name]
