"""Small floating-point numbers: E exponent and M mantissa bits, scaled by the matrix, the row or the group.

Source of the search over exponent bits and largest value: Low-Bitwidth Floating Point Quantization for Efficient
High-Quality Diffusion Models, arXiv 2408.06995; the real-valued exponent bias there is the scale here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shoal.errors import InputError
from shoal.formats._floats import float_values
from shoal.formats._grid import Grid, GridFormat

_SHORT = re.compile(r"e([1-5])m([0-6])(s?)(?:g(\d+)|(t))?")
_SEARCHED = 40


@dataclass(frozen=True)
class Floating(GridFormat):
    """x = s · f. Short: "e2m5" (a scale a row), "e4m3t" (one for all), "e2m1g32"; with an "s" the scale is searched."""

    exponent: int = 4  # bits; 1 gives whole numbers
    mantissa: int = 3  # bits
    group: int = 0  # columns that share a scale: 0 a row, -1 all
    clip: int = 0  # smaller scales tried, down to 0.3 of that with which nothing clips

    def __post_init__(self) -> None:
        if not (1 <= self.exponent <= 5 and self.mantissa >= 0 and 2 <= self.exponent + self.mantissa <= 7):
            raise InputError(
                "no such floating-point number is stored", where="floating",
                needed="1 to 5 exponent bits, 3 to 8 bits with mantissa and sign",
                had=f"E{self.exponent}M{self.mantissa}",
            )  # fmt: skip

    @cached_property
    def grid(self) -> Grid:
        """All of its values, zero once; in memory they have the usual sign, exponent and mantissa."""
        return float_grid(self.exponent, self.mantissa)


def float_grid(exponent: int, mantissa: int) -> Grid:
    """The signed values of such a number."""
    half = float_values(exponent, mantissa)
    sign = 1 << (exponent + mantissa)
    patterns = (*range(sign + len(half) - 1, sign, -1), *range(len(half)))
    values = np.concatenate([-half[:0:-1], half])
    return Grid(tuple(map(float, values)), exponent + mantissa + 1, tuple(patterns), digits=(exponent, mantissa))


def short(name: str) -> Floating | None:
    """The format of a short name, if it is one of these."""
    found = _SHORT.fullmatch(name)
    if not found:
        return None
    exponent, mantissa, searched, group, whole = found.groups()
    return Floating(int(exponent), int(mantissa), -1 if whole else int(group or 0), _SEARCHED if searched else 0)
