"""Lines through what was measured, and where two of them cross."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log

import numpy as np

from shoal.errors import InputError


def crossing(
    first: Callable[[float], float], second: Callable[[float], float], low: float, high: float
) -> float | None:
    """The smallest argument from which `second` is below `first`, between bounds; None: it is not, or always.

    Bisection on a logarithmic scale; the two cross once.
    """
    if second(low) < first(low) or second(high) >= first(high):
        return None
    for _ in range(50):
        middle = exp((log(low) + log(high)) / 2)
        low, high = (low, middle) if second(middle) < first(middle) else (middle, high)
    return high


def between(lengths: Sequence[float], figures: Sequence[float]) -> Callable[[float], float]:
    """A line through points on logarithmic scales.

    Raises:
        InputError: fewer than two.
    """
    if len(lengths) < 2:
        raise InputError("a line takes two points", had=str(len(lengths)))
    x, y = np.log(lengths), np.log(figures)
    return lambda at: float(np.exp(np.interp(np.log(at), x, y)))
