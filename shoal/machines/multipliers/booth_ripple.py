"""Booth rows of radix 4, columns added one after another, carries that ripple: small and slow."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.machines.multipliers._booth import rows
from shoal.machines.multipliers._draw import Drawing, few_columns, ripple_sum
from shoal.machines.multipliers.contract import LOW, PRODUCT_BITS, Circuit


@dataclass(frozen=True)
class BoothRipple:
    """Two's complement weights; a bit that is zero for good takes no adder."""

    weights = range(-128, 128)

    def circuit(self, weight: int) -> Circuit:
        """See `Multiplier.circuit`."""
        draw = Drawing()
        drawn = rows(draw, weight, fixed=False)
        columns = [[row[place] for row in drawn if row[place] != LOW] for place in range(PRODUCT_BITS)]
        return draw.finish(ripple_sum(draw, few_columns(draw, columns)))
