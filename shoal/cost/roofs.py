"""What a processor could reach at most: a peak, and the bandwidth that feeds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.cost.models._rates import rates_of
from shoal.record import Sample


@dataclass(frozen=True)
class Roof:
    """min(peak, bandwidth × arithmetic a byte). [Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009]"""

    flop_per_s: float  # one multiply-accumulate counts two
    bytes_per_s: float

    def at(self, flop_per_byte: float) -> float:
        """The most it reaches where so much is computed on a byte."""
        return min(self.flop_per_s, self.bytes_per_s * flop_per_byte)

    def bends(self, least: float, most: float) -> tuple[float, ...]:
        """Intensities that a line from one to another needs: both ends, and where both limits meet."""
        bend = self.flop_per_s / self.bytes_per_s
        return (least, *((bend,) if least < bend < most else ()), most)


def roofs_here(samples: Sequence[Sample], threads: int) -> dict[str, Roof]:
    """This machine's, by the level of memory that feeds it, nearest first; none without benches of it."""
    rates = rates_of(samples, threads)
    if rates is None:
        return {}
    return {name: Roof(rates.flop_per_s, rate) for name, rate in zip(rates.names, rates.bytes_per_s, strict=True)}
