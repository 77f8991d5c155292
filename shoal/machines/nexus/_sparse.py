"""Matrices by their non-zeros, row after row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Sparse:
    """A matrix of which the non-zeros are kept, ordered by row, then by column."""

    shape: tuple[int, int]
    row: Ints  # of each non-zero
    column: Ints
    value: Floats

    @property
    def count(self) -> int:
        """Non-zeros."""
        return len(self.value)

    @property
    def first(self) -> Ints:
        """Of each row its first non-zero, and the count at the end."""
        return np.searchsorted(self.row, np.arange(self.shape[0] + 1))

    @property
    def lengths(self) -> Ints:
        """Non-zeros of each row."""
        return np.bincount(self.row, minlength=self.shape[0])

    @property
    def transposed(self) -> Sparse:
        """Rows as columns."""
        return sparse((self.shape[1], self.shape[0]), self.column, self.row, self.value)

    def rows(self, begin: int, end: int) -> Sparse:
        """Those rows as a matrix."""
        low, high = np.searchsorted(self.row, [begin, end])
        return Sparse(
            (end - begin, self.shape[1]), self.row[low:high] - begin, self.column[low:high], self.value[low:high]
        )

    def dense(self) -> Floats:
        """All elements."""
        found = np.zeros(self.shape)
        found[self.row, self.column] = self.value
        return found


def sparse(shape: tuple[int, int], row: Array, column: Array, value: Array) -> Sparse:
    """Non-zeros in any order; each place once."""
    order = np.lexsort((column, row))
    return Sparse(
        shape, row[order].astype(np.int64), column[order].astype(np.int64), value[order].astype(np.float64)
    )


def of_dense(values: Array) -> Sparse:
    """The non-zeros of a dense matrix."""
    row, column = np.nonzero(values)
    rows, columns = values.shape
    return sparse((rows, columns), row, column, values[row, column])
