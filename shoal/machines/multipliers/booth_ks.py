"""Booth rows of radix 4, whole rows added three into two, a Kogge–Stone adder at the end."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.machines.multipliers._booth import rows
from shoal.machines.multipliers._draw import Drawing, prefix_sum, two_rows
from shoal.machines.multipliers.contract import Circuit


@dataclass(frozen=True)
class BoothKs:
    """Two's complement weights; quick adders throughout."""

    fixed: bool = False  # the tree adds rows that are zero too; without, they are bypassed

    weights = range(-128, 128)

    def circuit(self, weight: int) -> Circuit:
        """See `Multiplier.circuit`."""
        draw = Drawing()
        return draw.finish(prefix_sum(draw, *two_rows(draw, rows(draw, weight, self.fixed))))
