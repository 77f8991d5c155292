"""−1 and 1 with a scale. Source: XNOR-Net's mean of magnitudes, which has the least squared error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shoal.formats import _scales
from shoal.formats._grid import Grid, GridFormat, checked, grouped, weight_of
from shoal.formats.contract import Matrix, Params

_SHORT = re.compile(r"bin(?:g(\d+)|(t))?")


@dataclass(frozen=True)
class Binary(GridFormat):
    """x = s · sign, and the sign of 0 is 1. Short: "bin", "bint" (one scale for all), "bing64"."""

    group: int = 0  # columns that share a scale: 0 a row, -1 all

    @cached_property
    def grid(self) -> Grid:
        """Two values."""
        return Grid((-1.0, 1.0), 1)

    def fit(self, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Params:
        """See `Format.fit`."""
        given = checked(weights, self.group)
        values = np.abs(grouped(given, self.group))
        counts = np.broadcast_to(weight_of(importance, (given.shape[0], given.shape[1]), self.group), values.shape)
        means = (counts * values).sum(axis=2) / np.maximum(counts.sum(axis=2), 1e-30)
        return {"scales": _scales.rounded(self.grid.scale, means.astype(np.float32))}

    def assign(self, weights: Matrix, params: Params) -> NDArray[np.uint8]:
        """See `Format.assign`."""
        return (weights >= 0).astype(np.uint8)


def short(name: str) -> Binary | None:
    """The format of a short name, if it is one of these."""
    found = _SHORT.fullmatch(name)
    return Binary(-1 if found[2] else int(found[1] or 0)) if found else None
