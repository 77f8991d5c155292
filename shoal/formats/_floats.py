"""The values of small floating-point numbers: sign, exponent and mantissa bits, no infinities."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=64)
def float_values(exponent: int, mantissa: int) -> NDArray[np.float32]:
    """The values from 0 up, ascending: index i is the code i of the positive half.

    Value (1 + m/2^M) · 2^(e − bias), for e = 0 m/2^M · 2^(1 − bias), bias = 2^(E−1) − 1. Of E4M3 the last code is
    NaN, so that 448 is the largest; the smaller formats use every code. E5M2 has infinity and NaNs above 57344.
    """
    bias = 2 ** (exponent - 1) - 1
    codes = np.arange(2 ** (exponent + mantissa))
    e, m = codes >> mantissa, codes & (2**mantissa - 1)
    values = np.where(
        e == 0,
        m * 2.0 ** (1 - bias - mantissa),
        (2**mantissa + m) * np.exp2(e - bias - mantissa, dtype=np.float64),
    )
    if (exponent, mantissa) == (4, 3):
        values = values[:-1]
    elif (exponent, mantissa) == (5, 2):
        values = values[: 31 << 2]
    found: NDArray[np.float32] = values.astype(np.float32)
    found.setflags(write=False)
    return found


def float_rounded(values: NDArray[np.float32], exponent: int, mantissa: int) -> NDArray[np.float32]:
    """The nearest of those numbers of both signs; of two that are as near, either.

    No logarithm is taken, which would miss powers of two by a bin: Veltkamp's splitting rounds to M + 1 significant
    bits, and adding a large number to the step of those below the least normal one. Exact in float32.
    """
    factor, large, least, most = splitting(exponent, mantissa)
    inside = np.clip(values, -most, most)
    wide = inside * factor
    normal = wide - (wide - inside)
    found: NDArray[np.float32] = np.where(np.abs(inside) < least, (inside + large) - large, normal)
    return found


def splitting(exponent: int, mantissa: int) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """What `float_rounded` computes with: factor, number added to small values, least normal number, largest one."""
    lowest = 2 - 2 ** (exponent - 1)
    numbers = 2.0 ** (23 - mantissa) + 1, 1.5 * 2.0 ** (23 + lowest - mantissa), 2.0**lowest
    factor, large, least = map(np.float32, numbers)
    return factor, large, least, float_values(exponent, mantissa)[-1]
