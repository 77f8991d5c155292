"""A scale for the tensor and a power of two for each channel: what a norm reads, in whole numbers.

Source: the power-of-two factor of FQ-ViT, arXiv 2111.13824, as Agile-Quant, arXiv 2312.05693, takes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.compress.quantisers._steps import LEAST, Steps, largest_code, looked_at
from shoal.compress.quantisers.contract import F32
from shoal.errors import InputError


@dataclass(frozen=True)
class Shifted:
    """x = s · 2^α_c · q with α_c of 0 to `most`, that with the least squared error; a norm then works on shifted numbers.

    s is such that with the largest α nothing clips.
    """

    bits: int = 8
    most: int = 3  # the largest shift

    needs_samples = True

    def __post_init__(self) -> None:
        largest_code(self.bits)
        if not 0 <= self.most <= 15:
            raise InputError("no such shift", where="shifted:most", needed="0 to 15", had=str(self.most))

    def fitted(self, samples: F32 | None = None, importance: F32 | None = None) -> Steps:
        """See `Quantiser.fitted`."""
        seen = looked_at(samples, "shifted")
        widest = np.float32(largest_code(self.bits) * 2**self.most)
        scale = float(max(np.abs(seen).max() / widest, LEAST))
        factors = np.exp2(np.arange(self.most + 1, dtype=np.float32))
        lost = [np.square(Steps(self.bits, each[None], scale).rounded(seen) - seen).sum(axis=0) for each in factors]
        return Steps(self.bits, factors[np.argmin(lost, axis=0)], scale)
