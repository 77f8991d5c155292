"""Small floating-point numbers whose bits are divided into exponent and mantissa as serves each row best.

Source: Low-Bitwidth Floating Point Quantization for Efficient High-Quality Diffusion Models, arXiv 2408.06995: exponent
bits and largest value are searched together for the least squared error. E1 numbers are evenly spaced, so that whole
numbers are among what is tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import _bits
from shoal.formats._grid import (
    Grid,
    GridFormat,
    checked,
    counts,
    fit_scales,
    grouped,
    spread,
    squared_error,
    weight_of,
)
from shoal.formats.contract import Coded, Codes, Matrix, Params, Streams
from shoal.formats.floating import Floating
from shoal.formats.integer import Integer

_SHORT = re.compile(r"fp([4-8])(?:g(\d+)|(t))?")
_SPLIT = re.compile(r"e(\d)m(\d)")
_FEW = 4  # bits up to which whole numbers are tried
_SEARCHED = 40  # largest values of these, as `int4s` has them, besides the others: no row loses more than with that


@dataclass(frozen=True)
class Split(GridFormat):
    """x = s · f, f of E exponent and M mantissa bits, s and E a row's own. Short: "fp4", "fp8t" (one for all), "fp4g64"."""

    bits: int = 8
    splits: str = ""  # that are tried, between strokes: e2m1/e3m0; none: E1 to E3 of four bits, E2 to E5 of more
    group: int = 0  # columns that share scale and split: 0 a row, -1 all
    least: float = 0.1  # largest value tried, as a share of the largest that there is
    most: float = 1.2  # …; the lowest and the highest of them
    points: int = 40  # largest values tried

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most or self.points < 1:
            raise InputError("no largest values to search", where="split", needed="0 < least <= most, points >= 1",
                             had=f"least={self.least:g}, most={self.most:g}, points={self.points}")  # fmt: skip
        if not self.grids:
            raise InputError("so few bits are not divided", where="split", needed="bits >= 3", had=str(self.bits))

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Exponent and mantissa bits that are tried."""
        if not self.splits:
            first, last = (1, 3) if self.bits <= _FEW else (2, min(5, self.bits - 1))
            return tuple((each, self.bits - 1 - each) for each in range(first, last + 1) if each < self.bits)
        return tuple(_pair(each, self.bits) for each in self.splits.split("/"))

    @cached_property
    def grids(self) -> tuple[Grid, ...]:
        """The values of each split."""
        return tuple(Floating(*pair).grid for pair in self.pairs)

    def fit(self, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Params:
        """See `Format.fit`."""
        given = checked(weights, self.group)
        values = grouped(given, self.group)
        count = weight_of(importance, (given.shape[0], given.shape[1]), self.group)
        tried = [
            fit_scales(grid, given, self.group, importance, self._tried(pair))["scales"]
            for grid, pair in zip(self.grids, self.pairs, strict=True)
        ]
        lost = [squared_error(grid, values, count, each) for grid, each in zip(self.grids, tried, strict=True)]
        best = np.argmin(lost, axis=0)
        scales = np.take_along_axis(np.stack(tried), best[None], axis=0)[0]
        return {"scales": scales, "splits": best.astype(np.uint8)}

    def assign(self, weights: Matrix, params: Params) -> Codes:
        """See `Format.assign`."""
        return self._each(params, self._scaled(weights, params), Grid.nearest, np.uint8)

    def decode(self, codes: Codes, params: Params) -> Matrix:
        """See `Format.decode`."""
        made: Matrix = self._each(params, codes, lambda grid, own: grid.array[own], np.float32)
        return made * spread(params["scales"], codes.shape[1], self.group)

    def bracket(self, weights: Matrix, params: Params) -> tuple[Codes, Codes]:
        """See `Format.bracket`."""
        below = self._each(params, self._scaled(weights, params), Grid.below, np.uint8)
        return below, below + np.uint8(1)

    def chosen(self, params: Params) -> Mapping[str, int]:
        """How many rows, or groups, took each split: {"e2m1": 12}."""
        found = np.bincount(params["splits"].reshape(-1), minlength=len(self.pairs))
        return {f"e{e}m{m}": int(count) for (e, m), count in zip(self.pairs, found, strict=True)}

    def pack(self, coded: Coded) -> Streams:
        """See `Format.pack`."""
        stored = self._each(coded.params, coded.codes, Grid.stored, np.uint8)
        splits = _bits.packed(coded.params["splits"], self._split_bits)
        return {**super().pack(Coded(stored, coded.params)), "splits": splits}

    def unpack(self, streams: Streams, shape: tuple[int, int]) -> Coded:
        """See `Format.unpack`."""
        size = counts(shape, self.group)
        if "splits" not in streams:
            raise InputError("the bytes of 'splits' are missing", had=", ".join(sorted(streams)))
        splits = _bits.unpacked(streams["splits"], self._split_bits, prod(size)).reshape(size)
        if int(splits.max()) >= len(self.pairs):
            raise InputError("a split that the format does not have", needed=f"below {len(self.pairs)}")
        coded = super().unpack(streams, shape)
        params = {**coded.params, "splits": splits}
        return Coded(self._each(params, coded.codes, Grid.restored, np.uint8), params)

    def stored_bits(self, shape: tuple[int, int]) -> int:
        """See `Format.stored_bits`."""
        return super().stored_bits(shape) + 8 * -(-self._groups(shape) * self._split_bits // 8)

    @cached_property
    def grid(self) -> Grid:
        """How codes and scales are stored: a code's bits are sign, exponent and mantissa."""
        return Grid(tuple(map(float, range(2**self.bits))), self.bits)

    @property
    def _split_bits(self) -> int:
        return max(1, (len(self.pairs) - 1).bit_length())

    def _tried(self, pair: tuple[int, int]) -> NDArray[np.float32]:
        """Largest values, as shares of the largest there is."""
        own = np.linspace(self.least, self.most, self.points, dtype=np.float32)
        return np.concatenate([Integer(self.bits, clip=_SEARCHED).shares(), own]) if pair[0] == 1 else own

    def _each(
        self, params: Params, values: NDArray[Any], act: Callable[[Grid, NDArray[Any]], NDArray[Any]], kind: type
    ) -> NDArray[Any]:
        """`act` on all values, each with the grid of its group's split."""
        splits = np.broadcast_to(spread(params["splits"], values.shape[1], self.group), values.shape)
        found: NDArray[Any] = np.empty(values.shape, kind)
        for index, grid in enumerate(self.grids):
            own = splits == index
            if own.any():
                found[own] = act(grid, values[own])
        return found


def _pair(text: str, bits: int) -> tuple[int, int]:
    found = _SPLIT.fullmatch(text)
    pair = (int(found[1]), int(found[2])) if found else (0, 0)
    if sum(pair) != bits - 1:
        raise InputError("bits that are not divided so", where="split", needed=f"{bits - 1} bits of exponent and mantissa",
                         had=text[:60], hint=f"splits=e2m{max(0, bits - 3)}")  # fmt: skip
    return pair


def short(name: str) -> Split | None:
    """The format of a short name, if it is one of these."""
    found = _SHORT.fullmatch(name)
    if not found:
        return None
    bits, group, whole = found.groups()
    return Split(int(bits), group=-1 if whole else int(group or 0))
