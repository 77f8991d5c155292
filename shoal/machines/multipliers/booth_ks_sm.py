"""As `booth_ks`, for weights of sign and magnitude: the sign is applied on the way to the accumulator."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.machines.multipliers._booth import rows
from shoal.machines.multipliers._draw import Drawing, prefix_sum, two_rows
from shoal.machines.multipliers.contract import HIGH, LOW, Circuit


@dataclass(frozen=True)
class BoothKsSm:
    """x · |w|, complemented bit by bit for a negative w; the accumulator adds the one that is missing."""

    fixed: bool = False  # the tree adds rows that are zero too; without, they are bypassed

    weights = range(-127, 128)

    def circuit(self, weight: int) -> Circuit:
        """See `Multiplier.circuit`."""
        draw = Drawing()
        product = prefix_sum(draw, *two_rows(draw, rows(draw, abs(weight), self.fixed)))
        sign = HIGH if weight < 0 else LOW
        return draw.finish([draw.differ(bit, sign) for bit in product], int(weight < 0))
