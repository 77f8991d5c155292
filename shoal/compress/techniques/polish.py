"""What products read in few values, on a logarithmic grid where tails are long. Source: QuartDepth, arXiv 2503.16709.

There the grid is taken where the kurtosis or the largest value is high; here wherever its squared error is less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.compress.contract import Rounding
from shoal.compress.levels import Curve, Levels, curve, lost, steps
from shoal.errors import InputError

KEPT = 1 << 15  # values of a tensor that its levels are fitted to


@dataclass(frozen=True)
class Polish:
    """Each tensor that products read in its own 2^bits values; sums stay as they are."""

    bits: int = 4  # of what products read
    ends: int = 8  # of what the first and the last of them read
    grid: Literal["best", "equal", "log"] = "best"  # of the values: whichever loses less, or one of the two
    narrow: bool = True  # equal steps may leave out the ends of a range

    needs_samples = True

    def __post_init__(self) -> None:
        for bits in (self.bits, self.ends):
            if not 2 <= bits <= 8:
                raise InputError("so many bits are not read", where="polish", needed="2 to 8", had=str(bits))

    def rounding(self, values: Sequence[NDArray[Any]], axis: int, end: bool) -> Rounding:
        """See `Rounder.rounding`."""
        rows = [np.moveaxis(each, axis, -1).reshape(-1, each.shape[axis]) for each in values]
        least, largest = (np.stack([op(each, axis=0) for each in rows]) for op in (np.min, np.max))
        ends = least.min(axis=0).astype(np.float32), largest.max(axis=0).astype(np.float32)
        some = _some(rows)
        bits = self.ends if end else self.bits
        equal = steps(some, (float(ends[0].min()), float(ends[1].max())), bits, self.narrow)
        if self.grid == "equal" or not some.any():
            return equal
        logarithmic: Curve = curve(some, ends, bits, axis)
        if self.grid == "log":
            return logarithmic
        both: tuple[Levels, ...] = (equal, logarithmic)
        return min(both, key=lambda each: lost(_flat(each), some))


def _some(rows: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Places drawn evenly from all samples, (places, channels)."""
    each = max(1, KEPT // (rows[0].shape[1] * len(rows)))
    source = np.random.default_rng(0)
    parts = [part if len(part) <= each else part[source.choice(len(part), each, replace=False)] for part in rows]
    return np.concatenate(parts).astype(np.float32)


def _flat(levels: Levels) -> Levels:
    """For values whose channels come last."""
    return replace(levels, axis=-1) if isinstance(levels, Curve) else levels
