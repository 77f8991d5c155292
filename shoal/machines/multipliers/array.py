"""The array of Baugh and Wooley (IEEE Trans. Computers C-22, 1973): a row of products for each bit of the weight."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.machines.multipliers._draw import Drawing, ripple_sum
from shoal.machines.multipliers.contract import HIGH, LOW, PRODUCT_BITS, X_BITS, Circuit


@dataclass(frozen=True)
class Array:
    """Two's complement weights; each row's sums and carries go to the next row, a ripple adder ends it."""

    weights = range(-128, 128)

    def circuit(self, weight: int) -> Circuit:
        """See `Multiplier.circuit`."""
        draw = Drawing()
        columns: list[list[int]] = [[] for _ in range(PRODUCT_BITS)]
        columns[X_BITS].append(HIGH)  # completes the complements of the rows with a sign
        columns[PRODUCT_BITS - 1].append(HIGH)
        for row in range(X_BITS):
            _add_row(draw, columns, weight, row)
        return draw.finish(ripple_sum(draw, columns))


def _add_row(draw: Drawing, columns: list[list[int]], weight: int, row: int) -> None:
    """Add x · (bit `row` of the weight) to what the columns hold; each holds two bits at most afterwards."""
    bit = HIGH if (weight >> row) & 1 else LOW
    carries: list[tuple[int, int]] = []
    for place in range(X_BITS):
        product = draw.both(draw.x(place), bit)
        if (row == X_BITS - 1) != (place == X_BITS - 1):
            product = draw.inv(product)
        column = columns[row + place]
        column.append(product)
        if len(column) == 3:
            total, carry = draw.full(*column)
            column[:] = [total]
            carries.append((row + place + 1, carry))
    for place, carry in carries:
        columns[place].append(carry)
