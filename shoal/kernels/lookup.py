"""Products with bit planes of free scales: of four columns at a time, sums are looked up in tables made of the activations.

Source: ELUTQ, arXiv 2510.19482, with tables that are exact and a layout for shuffles of 64 entries (see
`native/lowbit/lookup.hpp`). Activations become int8, group by group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kernels.blocks import F32, WHOLE_GROUP, native, whole_numbers
from shoal.kernels.lowbit import check

TILE, STEP, MOST_PLANES = 16, 32, 4  # rows, columns and planes of what is worked on at once
Bits = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Lookup:
    """A matrix whose weights are zero + Σ scale · bit over its planes, group by group of columns.

    Raises:
        InputError: arrays that do not fit each other.
    """

    shape: tuple[int, int]  # rows and columns
    group: int  # columns that share scales, a multiple of 32; 0: a row has one of each
    codes: NDArray[np.uint8]  # (tiles of 16 rows, steps of 32 columns, planes, 64)
    scales: NDArray[np.float16]  # (tiles, groups, planes, 16)
    zeros: NDArray[np.float16]  # (tiles, groups, 16)

    def __post_init__(self) -> None:
        tiles, steps = -(-self.shape[0] // TILE), -(-self.shape[1] // STEP)
        if min(self.shape) < 1 or not fits(self.group, self.shape[1]):
            raise InputError(
                f"no product with groups of {self.group}", needed="multiples of 32 that divide the columns"
            )
        groups = self.shape[1] // self.group if self.group else 1
        planes = self.codes.shape[2] if self.codes.ndim == 4 else 0
        fit = (
            self.codes.shape == (tiles, steps, planes, 64)
            and self.scales.shape == (tiles, groups, planes, TILE)
            and self.zeros.shape == (tiles, groups, TILE)
        )
        if not fit or not 1 <= planes <= MOST_PLANES:
            raise InputError("planes, scales and zeros do not fit each other", had=str(self.codes.shape))

    @property
    def taken_columns(self) -> int:
        """Columns that share an activation scale."""
        return self.group or WHOLE_GROUP

    @property
    def bytes(self) -> int:
        """What a product reads."""
        return self.codes.nbytes + self.scales.nbytes + self.zeros.nbytes

    def product(self, x: F32, path: str = "", threads: int = 1) -> F32:
        """x·Wᵀ; see `LowBit.product`."""
        check(x, self.shape, path)
        kernels = native(path)
        if kernels is None:
            return self._product(x)
        y = np.empty((len(x), self.shape[0]), np.float32)
        scales, zeros = (each.view(np.uint16) for each in (self.scales, self.zeros))
        given = np.ascontiguousarray(x, np.float32)
        kernels.lookup_product(path, given, self.taken_columns, self.codes, scales, zeros, y, threads)
        return y

    def _product(self, x: F32) -> F32:
        """The same in numpy. Sums of whole numbers below 2^24 are exact in float32."""
        (rows, columns), group = self.shape, self.taken_columns
        codes, scales = whole_numbers(x, group, -(-columns // group))
        bits = self._bits()
        own = self.scales.astype(np.float32).transpose(2, 1, 0, 3).reshape(len(bits), self.scales.shape[1], -1)
        zeros = self.zeros.astype(np.float32).swapaxes(0, 1).reshape(self.zeros.shape[1], -1)
        y = np.zeros((len(x), rows), np.float32)
        for g in range(codes.shape[1]):
            acts, at = codes[:, g].astype(np.float32), g if self.group else 0
            made = acts.sum(axis=1)[:, None] * zeros[at, :rows]
            for plane, each in enumerate(bits):
                part = each[:, g * group : (g + 1) * group].astype(np.float32)
                made += acts[:, : part.shape[1]] @ part.T * own[plane, at, :rows]
            y += made * scales[:, g, None]
        return y

    def _bits(self) -> Bits:
        """(planes, rows, columns)."""
        tiles, steps, planes, _ = self.codes.shape
        found = np.unpackbits(self.codes, axis=-1, bitorder="little").reshape(tiles, steps, planes, TILE, 4, 2, 4)
        ordered = found.transpose(2, 0, 3, 1, 5, 4, 6).reshape(planes, tiles * TILE, steps * STEP)
        return ordered[:, : self.shape[0], : self.shape[1]]


def fits(group: int, columns: int) -> bool:
    """Whether planes with scales for so many columns (0 and less: a row) can be multiplied."""
    return group < 1 or (group % STEP == 0 and columns % group == 0)


def lookup(bits: Bits, group: int, scales: F32, zeros: F32) -> Lookup:
    """Lay planes out for products.

    Args:
        bits: (planes, rows, columns) of 0 and 1.
        group: see `Lookup`.
        scales: (rows, groups, planes); in float16 they must be finite.
        zeros: (rows, groups); likewise.

    Raises:
        InputError: see `Lookup`.
    """
    planes, rows, columns = bits.shape
    tiles, steps = -(-rows // TILE), -(-columns // STEP)
    full = np.zeros((planes, tiles * TILE, steps * STEP), np.uint8)
    full[:, :rows, :columns] = bits
    ordered = full.reshape(planes, tiles, TILE, steps, 2, 4, 4).transpose(1, 3, 0, 2, 5, 4, 6)
    codes = np.packbits(ordered.reshape(tiles, steps, planes, -1), axis=-1, bitorder="little")
    return Lookup(
        (rows, columns), group, codes,
        np.ascontiguousarray(_tiled(scales).transpose(0, 2, 3, 1)), np.ascontiguousarray(_tiled(zeros).swapaxes(1, 2)),
    )  # fmt: skip


def _tiled(each: F32) -> NDArray[np.float16]:
    """(rows, …) as (tiles, 16, …), filled up with zeros."""
    full = np.zeros((-(-len(each) // TILE) * TILE, *each.shape[1:]), np.float16)
    full[: len(each)] = each
    return full.reshape(-1, TILE, *each.shape[1:])
