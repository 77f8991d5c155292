"""What a technique of compression is: a layer's weights and what it was seen to do → what is stored of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import Coded, Matrix


@dataclass(eq=False)
class Seen:
    """Second moments of a layer's input over the calibration samples, for each group of a convolution.

    `x` is the input as the float network has it, `xq` as it comes out of the layers that are coded already.
    """

    columns: int
    groups: int = 1
    places: int = 0
    square: NDArray[np.float64] = field(init=False)  # (groups, columns, columns): mean of xq·xqᵀ
    cross: NDArray[np.float64] = field(init=False)  # mean of x·xqᵀ

    def __post_init__(self) -> None:
        self.square = np.zeros((self.groups, self.columns, self.columns))
        self.cross = np.zeros_like(self.square)

    def add(self, x: NDArray[np.float32], xq: NDArray[np.float32]) -> None:
        """One item's, both of (groups, places, columns) at the same places.

        Raises:
            InputError: something is not finite.
        """
        if not (np.isfinite(x).all() and np.isfinite(xq).all()):
            raise InputError("an activation of the calibration samples is not finite")
        count = x.shape[1]
        share = count / (self.places + count)
        self.square += (np.einsum("gpi,gpj->gij", xq, xq, optimize=True) / count - self.square) * share
        self.cross += (np.einsum("gpi,gpj->gij", x, xq, optimize=True) / count - self.cross) * share
        self.places += count

    def energy(self, matrix: Matrix, group: int) -> float:
        """The mean square of what `matrix`, (rows, columns), makes of `xq`, summed over its rows."""
        return float(np.einsum("ri,ij,rj->", matrix, self.square[group], matrix, optimize=True))

    def importance(self, group: int) -> NDArray[np.float32]:
        """How much an error in a column counts: the mean square of what it is multiplied with."""
        found: NDArray[np.float32] = np.maximum(np.diagonal(self.square[group]), 0).astype(np.float32)
        return found


@dataclass(frozen=True, eq=False)
class Work:
    """A matrix on its way: the weights as changed so far, and the codes once there are some."""

    weights: Matrix  # (rows, columns) of one group
    coded: Coded | None = None


class Technique(Protocol):
    """A technique of `compress/techniques`; several are applied one after another, the one that codes last.

    One that codes has the field `format`, the name of what it codes in.
    """

    @property
    def needs_samples(self) -> bool:
        """Whether it looks at activations."""

    def apply(self, work: Work, seen: Seen | None, group: int) -> Work:
        """The next state of a layer's matrix (of one group of a convolution).

        Raises:
            InputError: what it needs is not there, or cannot be solved.
        """
