"""Powers of a half: the shares of a softmax. What they multiply is shifted to the right.

Source: the log2 quantiser of FQ-ViT, arXiv 2111.13824, as Agile-Quant, arXiv 2312.05693, takes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.quantisers.contract import F32
from shoal.errors import InputError


@dataclass(frozen=True)
class Log2:
    """p ≈ 2^−c with c = round(−log2 p), from 0 to 2^bits − 1; rows no longer add up to exactly one."""

    bits: int = 4

    needs_samples = False

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 4:  # beyond 2^−15 nothing is left of eight bits in 23
            raise InputError("shares are not stored so", where="log2", needed="1 to 4 bits", had=str(self.bits))

    def fitted(self, samples: F32 | None = None, importance: F32 | None = None) -> Halvings:
        """See `Quantiser.fitted`."""
        return Halvings(2**self.bits - 1)


@dataclass(frozen=True)
class Halvings:
    """How often one is halved."""

    most: int  # the largest code

    def coded(self, shares: NDArray[Any]) -> NDArray[np.uint8]:
        """The codes of shares.

        Raises:
            InputError: one that is not between 0 and 1.
        """
        if shares.size and not (shares.min() >= 0 and shares.max() <= 1 + 1e-4):
            raise InputError("no shares of a whole", where="log2", needed="0 to 1")
        smallest = np.float32(2.0 ** -(self.most + 1))  # its logarithm is there; its code is the largest anyway
        halvings = np.rint(-np.log2(np.maximum(shares, smallest)))
        codes: NDArray[np.uint8] = np.clip(halvings, 0, self.most).astype(np.uint8)
        return codes

    def rounded(self, x: NDArray[Any]) -> F32:
        """See `Rounding.rounded`."""
        return np.ldexp(np.float32(1), -self.coded(x).astype(np.int32)).astype(np.float32)
