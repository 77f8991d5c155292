"""Small floating-point numbers whose scale is that of a tile of rows and columns: the FP8 of DeepSeek-V3.

Source: DeepSeek-V3 Technical Report, arXiv 2412.19437, section 3.3.2: tiles of 1×128 of activations, blocks of 128×128 of
weights, scales in float32 with which nothing clips.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import _scales
from shoal.formats._grid import Floats, Grid, GridFormat, checked, stream
from shoal.formats.contract import Coded, Matrix, Params, Streams
from shoal.formats.floating import Floating

_SHORT = re.compile(r"e([1-5])m([0-6])b(\d+)(?:x(\d+))?")


@dataclass(frozen=True)
class Tiles(GridFormat):
    """x = s · f, s of a tile. Short: "e4m3b128" (128 × 128), "e4m3b1x128". At the edges tiles may be smaller."""

    exponent: int = 4  # bits
    mantissa: int = 3  # bits
    rows: int = 128  # of a tile
    group: int = 128  # columns of a tile

    def __post_init__(self) -> None:
        if self.rows < 1 or self.group < 1:
            raise InputError("a tile needs rows and columns", where="tiles", needed="at least 1 of each",
                             had=f"{self.rows} × {self.group}")  # fmt: skip

    @cached_property
    def grid(self) -> Grid:
        """The values of such numbers; scales are whole float32."""
        return replace(Floating(self.exponent, self.mantissa).grid, scale="float32")

    def fit(self, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Params:
        """See `Format.fit`; what a column counts changes nothing, because nothing clips."""
        magnitudes = np.abs(checked(weights, 0))
        down = np.maximum.reduceat(magnitudes, range(0, magnitudes.shape[0], self.rows), axis=0)
        largest = np.maximum.reduceat(down, range(0, magnitudes.shape[1], self.group), axis=1)
        scales = (largest / np.float32(self.grid.most)).astype(np.float32)
        return {"scales": _scales.rounded(self.grid.scale, scales)}

    def decode(self, codes: NDArray[np.uint8], params: Params) -> Matrix:
        """See `Format.decode`."""
        shape = (codes.shape[0], codes.shape[1])
        made: Matrix = self.grid.array[codes] * self._spread(params, shape)
        return made

    def unpack(self, streams: Streams, shape: tuple[int, int]) -> Coded:
        """See `Format.unpack`."""
        codes, scales = (stream(streams, name) for name in ("codes", "scales"))
        found = self.grid.restored(self._codes_of(codes, prod(shape)))
        return Coded(found.reshape(shape), {"scales": _scales.decoded("float32", scales, self._counts(shape))})

    def stored_bits(self, shape: tuple[int, int]) -> int:
        """See `Format.stored_bits`."""
        return self._code_bits(prod(shape)) + prod(self._counts(shape)) * _scales.BITS["float32"]

    def _counts(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Tiles down and across."""
        return -(-shape[0] // self.rows), -(-shape[1] // self.group)

    def _scaled(self, weights: Matrix, params: Params) -> Floats:
        scaled: Floats = weights / self._spread(params, (weights.shape[0], weights.shape[1]))
        return scaled

    def _spread(self, params: Params, shape: tuple[int, int]) -> Floats:
        """The scale of each value."""
        down = np.repeat(params["scales"], self.rows, axis=0)[: shape[0]]
        return np.repeat(down, self.group, axis=1)[:, : shape[1]]


def short(name: str) -> Tiles | None:
    """The format of a short name, if it is one of these."""
    found = _SHORT.fullmatch(name)
    if not found:
        return None
    exponent, mantissa, rows, columns = found.groups()
    return Tiles(int(exponent), int(mantissa), int(rows), int(columns or rows))
