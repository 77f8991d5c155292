"""A scale for each token, of its largest magnitude."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.compress.quantisers._steps import Steps, largest_code
from shoal.compress.quantisers.contract import F32


@dataclass(frozen=True)
class PerToken:
    """x = s · q, s found anew for each token: nothing is calibrated, and after a product its rows are scaled."""

    bits: int = 8

    needs_samples = False

    def __post_init__(self) -> None:
        largest_code(self.bits)

    def fitted(self, samples: F32 | None = None, importance: F32 | None = None) -> Steps:
        """See `Quantiser.fitted`."""
        return Steps(self.bits)
