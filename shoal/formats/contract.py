"""What a number format is: a matrix ↔ codes and their parameters ↔ bytes, exactly.

A format works on matrices of shape (rows, columns) in float32; groups run along the columns, which is the axis that a
product sums over. `fit` looks for the parameters (scales, zero points …), `assign` gives each value a code, `decode`
what the codes stand for. `fit` on a matrix followed by `assign` and `decode` on a few of its columns with the same
parameters is allowed where `by_column` says so: that is how rounding with error feedback works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Codes = NDArray[np.uint8]
Params = Mapping[str, NDArray[Any]]
Streams = Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Coded:
    """A matrix as it is stored."""

    codes: Codes  # (rows, columns)
    params: Params


class Format(Protocol):
    """A technique of `formats`."""

    @property
    def by_column(self) -> bool:
        """Whether the parameters of a group of columns fit any part of that group."""

    @property
    def group(self) -> int:
        """Columns that share parameters: 0 is all of a row, -1 the whole matrix."""

    def fit(self, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Params:
        """Parameters for `weights`.

        Args:
            weights: (rows, columns), finite.
            importance: (columns,): how much an error in a column counts, at least 0; none: all alike.

        Raises:
            InputError: something is not finite, or the group does not divide the columns.
        """

    def assign(self, weights: Matrix, params: Params) -> Codes:
        """The code of the nearest value that there is for each, of the shape of `weights`."""

    def decode(self, codes: Codes, params: Params) -> Matrix:
        """What the codes stand for."""

    def bracket(self, weights: Matrix, params: Params) -> tuple[Codes, Codes]:
        """Codes of the neighbouring values below and above each weight: what rounding has to choose from.

        Beyond the ends of what there is they are the last two.
        """

    def pack(self, coded: Coded) -> Streams:
        """The bytes to store, by name; the codes are in "codes".

        Raises:
            InputError: a code or a parameter that this format does not have.
        """

    def unpack(self, streams: Streams, shape: tuple[int, int]) -> Coded:
        """What was packed, of the `shape` (rows, columns).

        Raises:
            InputError: the bytes are not of such a matrix in this format.
        """

    def stored_bits(self, shape: tuple[int, int]) -> int:
        """What a matrix of the `shape` takes, parameters included: 8 times the bytes of what `pack` gives."""


def quantise(form: Format, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Coded:
    """`weights` in the format, each value rounded to the nearest; raises like `fit`."""
    params = form.fit(weights, importance)
    return Coded(form.assign(weights, params), params)


def restored(form: Format, coded: Coded) -> Matrix:
    """What is stored, as float32."""
    return form.decode(coded.codes, coded.params)
