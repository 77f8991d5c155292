"""A Hadamard rotation of the columns before the codes, undone after them: outliers are spread over their block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats.composers._wrapped import Wrapped
from shoal.formats.contract import Coded, Codes, Format, Matrix, Params, Streams


@dataclass(frozen=True)
class Rotate:
    """W·H is what is coded, with H = Hadamard · random signs / √n in blocks along the diagonal."""

    size: int = 0  # of a block, a power of two; 0: the largest that divides the columns
    seed: int = 0  # of the signs

    def around(self, base: Format) -> Format:
        """The composed format."""
        if self.size < 0 or self.size & (self.size - 1):
            raise InputError("no Hadamard matrix has this size", where="rotate", needed="a power of two",
                             had=str(self.size))  # fmt: skip
        return _Rotated(base, self.size, self.seed)


@dataclass(frozen=True)
class _Rotated(Wrapped):
    size: int
    seed: int

    def fit(self, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Params:
        """See `Format.fit`. What counts by column does not count by rotated column."""
        return self.base.fit(rotated(weights, self.size, self.seed), None)

    def assign(self, weights: Matrix, params: Params) -> Codes:
        """See `Format.assign`."""
        return self.base.assign(rotated(weights, self.size, self.seed), params)

    def decode(self, codes: Codes, params: Params) -> Matrix:
        """See `Format.decode`."""
        return rotated(self.base.decode(codes, params), self.size, self.seed, back=True)

    def bracket(self, weights: Matrix, params: Params) -> tuple[Codes, Codes]:
        """See `Format.bracket`; the codes are of rotated weights."""
        return self.base.bracket(rotated(weights, self.size, self.seed), params)

    def pack(self, coded: Coded) -> Streams:
        """See `Format.pack`."""
        return self.base.pack(coded)

    def unpack(self, streams: Streams, shape: tuple[int, int]) -> Coded:
        """See `Format.unpack`."""
        return self.base.unpack(streams, shape)

    def stored_bits(self, shape: tuple[int, int]) -> int:
        """See `Format.stored_bits`; the seed is part of the format's name."""
        return self.base.stored_bits(shape)


def rotated(values: Matrix, size: int = 0, seed: int = 0, *, back: bool = False) -> Matrix:
    """values · H, or values · Hᵀ; (rows, columns) stays. H is orthogonal, so x·H and W·H have the product of x and W.

    Args:
        values: (rows, columns).
        size: of a block, a power of two; 0: the largest that divides the columns.
        seed: of the random signs.
        back: undo it.

    Raises:
        InputError: blocks of this size do not divide the columns.
    """
    block = block_of(values.shape[1], size)
    turns = np.tile(signs(block, seed), values.shape[1] // block)
    given = np.asarray(values, np.float32)
    found: Matrix = _butterflies(given if back else given * turns, block)
    return found * turns if back else found


def block_of(columns: int, size: int = 0) -> int:
    """The size of the blocks; 0 asks for the largest power of two that divides the columns.

    Raises:
        InputError: blocks of this size do not divide the columns.
    """
    most = columns & -columns
    if columns % (size or most):
        raise InputError(f"blocks of {size} do not divide {columns} columns", where="rotate",
                         hint=f"the largest that does: {most}")  # fmt: skip
    return size or most


def signs(block: int, seed: int = 0) -> Matrix:
    """The random signs of a block, (block,); all blocks have the same."""
    return np.where(np.random.default_rng(seed).random(block) < 0.5, -1, 1).astype(np.float32)


def turn(block: int, seed: int = 0) -> Matrix:
    """H of one block, (block, block): x·H for x of so many columns."""
    return rotated(np.eye(block, dtype=np.float32), block, seed)


def _butterflies(values: Matrix, block: int) -> Matrix:
    """values · Hadamard / √block, block by block, in as many steps as the block's size has bits."""
    turned = values.reshape(len(values), -1, block)
    half = 1
    while half < block:
        pair = turned.reshape(len(values), -1, 2, half)
        turned = np.stack([pair[:, :, 0] + pair[:, :, 1], pair[:, :, 0] - pair[:, :, 1]], axis=2)
        half *= 2
    found: Matrix = turned.reshape(values.shape) / np.float32(np.sqrt(block))
    return found
