"""A matrix of a decoder as it is stored: in float32, or as codes with a scale for each block of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

BLOCK = 32
LARGEST = {4: 7, 8: 127}


@dataclass(frozen=True, eq=False)
class Product:
    """A matrix, (outputs, inputs): `values` × scale, or plain where there are no scales."""

    values: NDArray[Any]  # int8, within ±7 for four bits; or float32
    scales: NDArray[np.float32] | None = None  # (outputs, blocks)
    bits: int = 32
    block: int = BLOCK

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs, inputs."""
        rows, columns = self.values.shape
        return rows, columns

    @property
    def matrix(self) -> NDArray[np.float32]:
        """What it stands for, in float32."""
        if self.scales is None:
            return np.asarray(self.values, np.float32)
        rows, columns = self.shape
        blocks = self.values.reshape(rows, columns // self.block, self.block).astype(np.float32)
        return (blocks * self.scales[..., None]).reshape(rows, columns)

    def rows(self, first: int, last: int) -> Product:
        """Those outputs alone."""
        scales = None if self.scales is None else self.scales[first:last]
        return Product(self.values[first:last], scales, self.bits, self.block)


def coded(matrix: NDArray[np.float32], bits: int, block: int = BLOCK) -> Product:
    """The nearest codes, each block scaled by its largest magnitude.

    Args:
        matrix: (outputs, inputs).
        bits: 4 or 8.
        block: columns that share a scale.

    Raises:
        InputError: the columns are not whole blocks, or there is no such code.
    """
    rows, columns = matrix.shape
    if bits not in LARGEST or columns % block:
        raise InputError("a matrix that cannot be coded so", needed=f"4 or 8 bits, columns in blocks of {block}",
                         had=f"{bits} bits, {columns} columns")  # fmt: skip
    blocks = matrix.reshape(rows, columns // block, block)
    scales = np.abs(blocks).max(axis=-1) / LARGEST[bits]
    scales = np.where(scales > 0, scales, 1).astype(np.float32)
    codes = np.rint(blocks / scales[..., None]).astype(np.int8).reshape(rows, columns)
    return Product(codes, scales, bits, block)
