"""A scale for each channel, of the largest magnitude that was seen in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.compress.quantisers._steps import LEAST, Steps, largest_code, looked_at
from shoal.compress.quantisers.contract import F32


@dataclass(frozen=True)
class PerChannel:
    """x = s_c · q, s_c fixed beforehand: for what a product gives, not for what one reads, unless worked into weights."""

    bits: int = 8

    needs_samples = True

    def __post_init__(self) -> None:
        largest_code(self.bits)

    def fitted(self, samples: F32 | None = None, importance: F32 | None = None) -> Steps:
        """See `Quantiser.fitted`."""
        most = np.abs(looked_at(samples, "per_channel")).max(axis=0)
        return Steps(self.bits, np.maximum(most / np.float32(largest_code(self.bits)), LEAST), scale=1.0)
