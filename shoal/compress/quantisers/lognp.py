"""Steps that grow with the magnitude, in a unit of each channel. Source: LogNP of QuartDepth, arXiv 2503.16709."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.compress.levels import Curve, curve
from shoal.compress.quantisers._steps import largest_code, looked_at
from shoal.compress.quantisers.contract import F32


@dataclass(frozen=True)
class Lognp:
    """x = u_c · table[q], q the rounded logarithm of 1 + |x|/α_c: for long tails. `polish` exports it, axis by axis."""

    bits: int = 4

    needs_samples = True

    def __post_init__(self) -> None:
        largest_code(self.bits)

    def fitted(self, samples: F32 | None = None, importance: F32 | None = None) -> Curve:
        """See `Quantiser.fitted`; all channels count by their own squares."""
        values = looked_at(samples, "lognp")
        return curve(values, (values.min(axis=0), values.max(axis=0)), self.bits, -1)
