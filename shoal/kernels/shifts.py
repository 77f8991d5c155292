"""Products whose factors are powers of two, by shifts instead of multiplications; in numpy, exact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

I64 = NDArray[np.int64]
FRACTION = 15  # bits behind the point, so that nothing is shifted out


def halved_product(codes: NDArray[np.uint8], values: NDArray[Any]) -> I64:
    """Σ_j 2^(15 − c_j)·v_j: shares of 2^−c times whole numbers, in units of 2^−15.

    Args:
        codes: (tokens, n), each 0 to 15: how often a share is halved.
        values: (n, channels), whole numbers of at most eight bits.

    Raises:
        InputError: a code above 15.
    """
    if codes.size and int(codes.max()) > FRACTION:
        raise InputError("a share is too small", needed=f"0 to {FRACTION} halvings", had=str(int(codes.max())))
    lifted = values.astype(np.int64) << FRACTION
    found: I64 = (lifted[None] >> codes[:, :, None].astype(np.int64)).sum(axis=1)
    return found


def two_part_product(x: NDArray[np.int8], shifts: NDArray[Any], weights: NDArray[np.int8]) -> NDArray[np.int32]:
    """X₀·W₀ᵀ + 2^δ·X₁·W₁ᵀ, where group 1 is the columns whose shift is δ, group 0 those whose shift is none.

    Args:
        x: (tokens, columns).
        shifts: (columns,) of 0 and one other whole number δ.
        weights: (rows, columns).

    Returns:
        (tokens, rows).

    Raises:
        InputError: more than one shift.
    """
    others = np.unique(shifts[shifts != 0])
    if len(others) > 1 or (len(others) and others[0] < 0):
        raise InputError("two groups of columns have one shift", needed="0 and δ", had=str(others.tolist()))
    order = np.argsort(shifts, kind="stable")  # of the columns: the weights are stored so, once
    cut = int((shifts == 0).sum())
    plain, loud = (
        x[:, part].astype(np.int32) @ weights[:, part].astype(np.int32).T for part in np.split(order, [cut])
    )
    found: NDArray[np.int32] = plain + (loud << int(others[0]) if len(others) else loud)
    return found
