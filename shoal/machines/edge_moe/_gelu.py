"""GELU as a ReLU less a small even function, which stands in a table. [Sarkar et al., "Edge-MoE", ICCAD 2023]

gelu(x) = x·Φ(x) = max(x, 0) − δ(|x|) with δ(a) = a·Φ(−a), which is below 1e-6 from 5.3 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import erfc, sqrt

import numpy as np

from shoal.errors import InputError
from shoal.machines._fixed import Fixed, Floats, Raw

REACH = 5.3125  # where the table ends


def gelu(values: Floats) -> Floats:
    """By the error function."""
    found: Floats = np.maximum(values, 0) - small(np.abs(values))
    return found


def small(sizes: Floats) -> Floats:
    """δ of sizes from 0 on."""
    tails = np.array([erfc(each / sqrt(2)) / 2 for each in sizes.flat]).reshape(sizes.shape)
    found: Floats = sizes * tails
    return found


@dataclass(frozen=True)
class GeluTable:
    """δ at steps of 2**-step_bits, straight lines in between, zero beyond the last.

    Raises:
        InputError: steps finer than those of the format.
    """

    form: Fixed
    step_bits: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.step_bits < self.form.fraction:
            raise InputError("a table with such steps cannot be read", needed=f"0 to {self.form.fraction - 1} bits",
                             had=str(self.step_bits))  # fmt: skip

    @cached_property
    def entries(self) -> Raw:
        """The table; the last entry is zero."""
        at = np.arange(int(REACH * 2**self.step_bits) + 1) / 2**self.step_bits
        return np.append(self.form.coded(small(at)), 0)

    def of(self, raw: Raw) -> Raw:
        """GELU."""
        sizes, cut = np.abs(raw), self.form.fraction - self.step_bits
        place = np.minimum(sizes >> cut, len(self.entries) - 2)
        between = np.where(sizes >> cut > place, 1 << cut, sizes & ((1 << cut) - 1))
        here, rise = self.entries[place], np.diff(self.entries)[place]
        taken = here + ((rise * between + (1 << (cut - 1))) >> cut)
        return self.form.held(np.maximum(raw, 0) - taken)
