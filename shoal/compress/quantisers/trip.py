"""Two groups of channels, one of them shifted: what a product reads, in very few bits.

Source: the two-refine matmul improved by pruning (TRIP) of Agile-Quant, arXiv 2312.05693; its search is not published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.compress.quantisers._steps import LEAST, Steps, largest_code, looked_at
from shoal.compress.quantisers.contract import F32
from shoal.errors import InputError

SIZES = 12  # of the group that are tried
NEAR = 4  # the power by which channels near the largest count more
PLACES = 512  # that are looked at


@dataclass(frozen=True)
class Trip:
    """x = s · 2^(δ·m_c) · q, s of each token, m_c 0 or 1: Y = s·(X₀W₀ + 2^δ·X₁W₁), two products and one shift.

    δ and the group have the least squared error of all that are tried: no group, so many of the channels that are
    loudest beside the largest of their token, and what then comes of moving single channels in or out.
    """

    bits: int = 4
    share: float = 0.05  # of the channels that may be in the shifted group
    most: int = 4  # the largest shift

    needs_samples = True

    def __post_init__(self) -> None:
        largest_code(self.bits)
        if not 0 <= self.share <= 1 or not 1 <= self.most <= 15:
            raise InputError("no such group of channels", where="trip", needed="a share of 0 to 1, a shift of 1 to 15",
                             had=f"{self.share:g} and {self.most}")  # fmt: skip

    def fitted(self, samples: F32 | None = None, importance: F32 | None = None) -> Steps:
        """See `Quantiser.fitted`."""
        seen = looked_at(samples, "trip")
        seen = seen[:: -(-len(seen) // PLACES)]
        counts = np.ones(seen.shape[1], np.float32) if importance is None else importance
        order, room = _loudest(seen), int(self.share * seen.shape[1])

        def lost(factors: F32) -> float:
            return float((np.square(Steps(self.bits, factors).rounded(seen) - seen) * counts).sum())

        best = min((np.ones(seen.shape[1], np.float32), *self._prefixes(order, room)), key=lost)
        return Steps(self.bits, _moved(best, order[: 2 * room], room, lost))

    def _prefixes(self, order: NDArray[np.intp], room: int) -> list[F32]:
        """Groups of the loudest channels, and shifts."""
        sizes = np.unique(np.geomspace(1, room, SIZES).astype(int)) if room else np.zeros(0, int)
        return [
            np.where(np.isin(np.arange(len(order)), order[:size]), 2.0**shift, 1.0).astype(np.float32)
            for size in sizes
            for shift in range(1, self.most + 1)
        ]


def _loudest(seen: F32) -> NDArray[np.intp]:
    """The channels, those first that are near their token's largest magnitude."""
    near = np.abs(seen) / np.maximum(np.abs(seen).max(axis=1, keepdims=True), LEAST)
    return np.argsort(-(near**NEAR).sum(axis=0), kind="stable")


def _moved(factors: F32, channels: NDArray[np.intp], room: int, lost: Callable[[F32], float]) -> F32:
    """After each of these channels was moved in or out if less is lost so, and the group has room."""
    shift, least = factors.max(), lost(factors)
    for channel in channels if shift > 1 else ():
        tried = factors.copy()
        tried[channel] = shift if factors[channel] == 1 else 1
        if (tried > 1).sum() <= room and (found := lost(tried)) < least:
            factors, least = tried, found
    return factors
