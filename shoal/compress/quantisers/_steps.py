"""Whole numbers of few bits with factors by channel and a scale: x = s · f · q."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.quantisers.contract import F32
from shoal.errors import InputError

LEAST = np.float32(1e-30)  # of a scale


@dataclass(frozen=True, eq=False)
class Steps:
    """Codes of −(2^(bits−1) − 1) to 2^(bits−1) − 1.

    A scale by token leaves a product as it is, to be multiplied by it row by row. Factors by channel stand inside the
    sum, where only powers of two, as shifts, or such as are worked into the weights, can be had for nothing.
    """

    bits: int
    factors: F32 = field(default_factory=lambda: np.ones(1, np.float32))  # f, (channels,) or (1,)
    scale: float | None = None  # s of the whole tensor; none: of each token, by its largest magnitude

    def coded(self, x: NDArray[Any]) -> tuple[NDArray[np.int8], F32]:
        """q, of the shape of `x`, and s, (…, 1)."""
        most = np.float32(largest_code(self.bits))
        even = np.asarray(x, np.float32) / self.factors
        if self.scale is None:
            scales = np.maximum(np.abs(even).max(axis=-1, keepdims=True) / most, LEAST)
        else:
            scales = np.full((*even.shape[:-1], 1), self.scale, np.float32)
        return np.clip(np.rint(even / scales), -most, most).astype(np.int8), scales

    def rounded(self, x: NDArray[Any]) -> F32:
        """See `Rounding.rounded`."""
        codes, scales = self.coded(x)
        found: F32 = codes * (scales * self.factors)
        return found


def largest_code(bits: int) -> int:
    """Of so many bits with a sign.

    Raises:
        InputError: not 2 to 8 bits.
    """
    if not 2 <= bits <= 8:
        raise InputError("activations are not rounded to so many bits", needed="2 to 8", had=str(bits))
    return int(2 ** (bits - 1) - 1)


def looked_at(samples: F32 | None, name: str) -> F32:
    """The samples, (places, channels).

    Raises:
        InputError: there are none, or they are not finite.
    """
    if samples is None or not samples.size:
        raise InputError(f"{name} looks at activations", needed="samples")
    if samples.ndim != 2 or not np.isfinite(samples).all():
        raise InputError("samples of activations are finite and have places and channels", where=name,
                         had=str(samples.shape))  # fmt: skip
    return samples
