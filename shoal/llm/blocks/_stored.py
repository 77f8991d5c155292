"""Bytes of weights by the name of their format."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from shoal import formats

# Bits of a weight where its format is not one of `shoal.formats`; fp8: e4m3 with a float32 scale for 128 × 128 weights.
PLAIN = {
    "float32": Fraction(32),
    "float16": Fraction(16),
    "bfloat16": Fraction(16),
    "fp8": 8 + Fraction(32, 128 * 128),
}


def bits(name: str, width: int) -> Fraction:
    """Bits of one weight of a matrix whose rows are so wide, its share of scales included.

    Args:
        name: of `PLAIN`, or what `formats.make` takes: "int8", "int4g128".
        width: columns that a row has.

    Raises:
        InputError: there is no such format, or it does not fit the width.
    """
    if name in PLAIN:
        return PLAIN[name]
    rows = 1024  # parameters of the whole matrix, where a format has some, are next to nothing
    return Fraction(formats.make(name).stored_bits((rows, width)), rows * width)


def stored_bytes(weights: int, of_one: Fraction) -> int:
    """Whole bytes of so many weights."""
    return ceil(weights * of_one / 8)
