"""Whole numbers of k bits, scaled by the matrix, the row or the group."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import _scales
from shoal.formats._grid import Grid, GridFormat, checked, grouped, weight_of
from shoal.formats.contract import Matrix, Params

_SHORT = re.compile(r"int([2-8])(a?)(s?)(?:g(\d+)|(t))?")
SEARCHED = 40  # scales that short names with an "s" try


@dataclass(frozen=True)
class Integer(GridFormat):
    """x = s · q with q from −(2^(k−1) − 1) on: without −2^(k−1) errors have no bias. Affine: x = s · (q − z), q from 0.

    Short: "int8" (a scale a row), "int8t" (one for all), "int4g128"; "int4ag64" is affine, "int4sg64" has its
    scales searched.
    """

    bits: int = 8
    group: int = 0  # columns that share a scale: 0 a row, -1 all
    affine: bool = False
    clip: int = 0  # smaller scales tried, down to 0.3 of that with which nothing clips
    full: bool = False  # symmetric ones use −2^(k−1) too

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise InputError("so many bits are not stored", where="integer", needed="2 to 8", had=str(self.bits))

    @cached_property
    def grid(self) -> Grid:
        """The whole numbers."""
        half = 2 ** (self.bits - 1)
        values = range(2 * half) if self.affine else range(-half if self.full else 1 - half, half)
        return Grid(tuple(map(float, values)), self.bits)

    def fit(self, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Params:
        """See `Format.fit`."""
        if not self.affine:
            return super().fit(weights, importance)
        values = grouped(given := checked(weights, self.group), self.group)
        most = np.float32(2**self.bits - 1)
        least, largest = np.minimum(values.min(axis=2), 0), np.maximum(values.max(axis=2), 0)
        counts = weight_of(importance, (given.shape[0], given.shape[1]), self.group)
        best, error = None, None
        for share in np.linspace(1, 0.3, self.clip + 1, dtype=np.float32):
            scales = _scales.rounded(self.grid.scale, (largest - least) * share / most)
            zeros = np.clip(np.rint(-least * share / scales), 0, most).astype(np.float32)
            codes = np.clip(np.rint(values / scales[:, :, None] + zeros[:, :, None]), 0, most)
            found = (counts * (values - (codes - zeros[:, :, None]) * scales[:, :, None]) ** 2).sum(axis=2)
            if best is None or error is None:
                best, error = (scales, zeros), found
            else:
                less = found < error
                best = tuple(np.where(less, new, old) for new, old in zip((scales, zeros), best, strict=True))
                error = np.minimum(found, error)
        assert best is not None
        return {"scales": best[0], "zeros": best[1]}

    def stored_bits(self, shape: tuple[int, int]) -> int:
        """See `Format.stored_bits`."""
        return super().stored_bits(shape) + self._zero_bits(shape)

    def _zero_bits(self, shape: tuple[int, int]) -> int:
        return self._code_bits(self._groups(shape)) if self.affine else 0


def short(name: str) -> Integer | None:
    """The format of a short name, if it is one of these."""
    found = _SHORT.fullmatch(name)
    if not found:
        return None
    bits, affine, searched, group, whole = found.groups()
    return Integer(int(bits), -1 if whole else int(group or 0), bool(affine), SEARCHED if searched else 0)
