"""Rows of Booth's recoding with radix 4 (Quarterly J. Mech. Appl. Math. 4, 1951; MacSorley, Proc. IRE 49, 1961)."""

from __future__ import annotations

from shoal.machines.multipliers._draw import Drawing, Row
from shoal.machines.multipliers.contract import HIGH, LOW, PRODUCT_BITS, X_BITS

DIGITS = 4


def digits(weight: int) -> tuple[int, ...]:
    """The weight as Σ d_k · 4^k with d_k of −2 to 2."""
    bits = [0, *((weight >> place) & 1 for place in range(X_BITS))]
    return tuple(bits[2 * k] + bits[2 * k + 1] - 2 * bits[2 * k + 2] for k in range(DIGITS))


def rows(draw: Drawing, weight: int, fixed: bool) -> list[Row]:
    """A row of d_k · x for each digit, with the ones that complete the complements where a later row is empty.

    Args:
        draw: where to.
        weight: −128 to 127.
        fixed: rows that are zero stay in the tree; without, they are bypassed.
    """
    found: list[Row] = []
    missing: list[int] = []  # columns of ones that have no place yet
    for k, digit in enumerate(digits(weight)):
        if digit or fixed:
            row = _row(draw, digit, 2 * k)
            for column in missing:
                row[column] = HIGH
            missing = []
            found.append(row)
        if digit < 0:
            missing.append(2 * k)
    if missing or fixed:
        found.append([HIGH if column in missing else LOW for column in range(PRODUCT_BITS)])
    return found


def _row(draw: Drawing, digit: int, lowest: int) -> Row:
    """d · x, shifted, with its sign extended; of a negative digit the complement."""
    if not digit:
        return [LOW] * PRODUCT_BITS
    double = abs(digit) == 2
    own = [draw.select(draw.x(bit)) for bit in range(X_BITS)]
    bits = [LOW, *own] if double else own
    if digit < 0:
        bits = [HIGH if bit == LOW else draw.inv(bit) for bit in bits]
    wide = bits + bits[-1:] * PRODUCT_BITS
    return ([LOW] * lowest + wide)[:PRODUCT_BITS]
