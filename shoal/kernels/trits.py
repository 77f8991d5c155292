"""Products with weights −1, 0 and 1 that stay as they are stored: five in a byte, or three in five bits.

Source: a byte of five: TerEffic, arXiv 2502.16473; three as a sign and an index of four bits: TeLLMe, arXiv 2510.15926.
Activations become int8 and the sums are exact; native kernels decode 64 bytes at a time by multiplying and by tables
that stand in registers (see `native/lowbit/trits.hpp`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import ternary
from shoal.kernels.blocks import F32, native, whole_numbers
from shoal.kernels.lowbit import check

STEP_BYTES = 64  # worked on at once


@dataclass(frozen=True, eq=False)
class Trits:
    """A matrix of −1, 0 and 1 with a scale for each row.

    Raises:
        InputError: arrays that do not fit each other, or bytes that stand for no weights.
    """

    shape: tuple[int, int]  # rows and columns
    codes: NDArray[np.uint8]  # (rows, bytes of a row)
    signs: NDArray[
        np.uint8
    ]  # (rows, 2, an eighth of the bytes): of the lower halves, the upper; empty: five in a byte
    scales: F32  # (rows,)
    by_token: bool = (
        False  # activations have one scale a token, as in BitNet's training; else one for `taken_columns`
    )

    def __post_init__(self) -> None:
        rows, columns = self.shape
        size = -(-columns // self.width)
        signs = (rows, 2, -(-size // 8)) if self.signs.size else self.signs.shape
        if min(self.shape) < 1 or self.codes.shape != (rows, size) or self.signs.shape != signs:
            raise InputError("codes do not fit the matrix", needed=f"{rows} × {size}", had=str(self.codes.shape))
        if self.scales.shape != (rows,):
            raise InputError("scales do not fit the matrix", needed=f"{rows}", had=str(self.scales.shape))
        ternary.check_threes(self._halves()) if self.signs.size else ternary.check_fives(self.codes)

    @property
    def width(self) -> int:
        """Columns in a byte."""
        return 6 if self.signs.size else 5

    @property
    def taken_columns(self) -> int:
        """Columns that share an activation scale."""
        return self.shape[1] if self.by_token else STEP_BYTES * self.width

    @property
    def bytes(self) -> int:
        """What a product reads."""
        return self.codes.nbytes + self.signs.nbytes + self.scales.nbytes

    def product(self, x: F32, path: str = "", threads: int = 1) -> F32:
        """x·Wᵀ; see `LowBit.product`."""
        check(x, self.shape, path)
        kernels = native(path)
        if kernels is None:
            return self._product(x)
        y = np.empty((len(x), self.shape[0]), np.float32)
        given = np.ascontiguousarray(x, np.float32)
        kernels.trit_product(path, given, self.by_token, self.codes, self.signs, self.scales, y, threads)
        return y

    def _product(self, x: F32) -> F32:
        """The same in numpy. Sums of whole numbers below 2^24 are exact in float32."""
        columns, group = self.shape[1], self.taken_columns
        codes, scales = whole_numbers(x, group, -(-columns // group))
        weights = self._trits()
        y = np.zeros((len(x), self.shape[0]), np.float32)
        for g in range(codes.shape[1]):
            own = weights[:, g * group : (g + 1) * group].astype(np.float32)
            y += codes[:, g, : own.shape[1]].astype(np.float32) @ own.T * scales[:, g, None]
        return y * self.scales

    def _trits(self) -> NDArray[np.int8]:
        rows, columns = self.shape
        found = ternary.threes(self._halves()) if self.signs.size else ternary.fives(self.codes)
        return found.reshape(rows, -1)[:, :columns].astype(np.int8) - np.int8(1)

    def _halves(self) -> NDArray[np.uint8]:
        """Indices of four bits with their signs above, (rows, bytes, 2)."""
        halves = np.stack([self.codes & 15, self.codes >> 4], axis=2)
        signs = np.unpackbits(self.signs, axis=2, bitorder="little")[:, :, : self.codes.shape[1]]
        found: NDArray[np.uint8] = halves | signs.swapaxes(1, 2) << np.uint8(4)
        return found


def fives(codes: NDArray[np.uint8], scales: F32, *, by_token: bool = False) -> Trits:
    """Codes 0, 1 and 2, (rows, columns), with scales (rows,), five in a byte.

    Where the columns are a multiple of five the bytes are those that `formats.ternary` writes.
    """
    shape = (codes.shape[0], codes.shape[1])
    packed = ternary.fives_packed(_filled(codes, 5)).reshape(shape[0], -1)
    return Trits(shape, packed, np.zeros(0, np.uint8), scales, by_token)


def threes(codes: NDArray[np.uint8], scales: F32, *, by_token: bool = False) -> Trits:
    """The same, three in five bits."""
    shape = (codes.shape[0], codes.shape[1])
    triples = ternary.threes_packed(_filled(codes, 6)).reshape(shape[0], -1, 2)
    indices = triples & np.uint8(15)
    packed: NDArray[np.uint8] = indices[:, :, 0] | indices[:, :, 1] << np.uint8(4)
    signs = np.packbits(triples.swapaxes(1, 2) >> 4, axis=2, bitorder="little")
    return Trits(shape, packed, np.ascontiguousarray(signs), scales, by_token)


def _filled(codes: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Rows filled up with ones, which are zeros, to a multiple of `width`."""
    return np.pad(codes, ((0, 0), (0, -codes.shape[1] % width)), constant_values=1)
