"""Least squares, plain and robust; errors of what was foreseen; which of two fits is worth its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.errors import InputError

F64 = NDArray[np.float64]
HUBER = 1.345  # scales from which residuals count linearly: 95 % as efficient as squares where noise is normal
ROUNDS = 50


def least_squares(columns: Sequence[ArrayLike], wanted: ArrayLike, relative: bool = False) -> F64:
    """Coefficients of the columns, none below zero: each is a time.

    Args:
        columns: (k, n).
        wanted: (n,), above zero.
        relative: whether errors count as shares of what is wanted.

    Raises:
        InputError: fewer points than coefficients.
    """
    from scipy.optimize import nnls

    table, y = _table(columns, wanted)
    weight = 1 / y if relative else np.ones(len(y))
    scale = np.abs(table * weight[:, None]).max(axis=0)
    scale[scale == 0] = 1
    found: F64 = nnls(table * weight[:, None] / scale, y * weight)[0] / scale
    return found


def huber(columns: Sequence[ArrayLike], wanted: ArrayLike) -> F64:
    """The same, where a few points may be far off. [Huber, Robust Estimation of a Location Parameter, 1964]

    Least squares again and again, with residuals beyond HUBER scales weighted down; the scale is the median's.
    """
    table, y = _table(columns, wanted)
    root, found = np.ones(len(y)), least_squares(columns, wanted)
    for _ in range(ROUNDS):
        off = np.abs(y - table @ found)
        scale = float(np.median(off)) / 0.6745
        if scale <= 1e-12 * float(np.abs(y).max()):
            break
        root = np.sqrt(np.minimum(1, HUBER * scale / np.maximum(off, 1e-300)))
        before, found = found, least_squares([column * root for column in table.T], y * root)
        if np.allclose(before, found, rtol=1e-9, atol=0):
            break
    return found


def mape(wanted: ArrayLike, foreseen: ArrayLike) -> float:
    """Mean absolute error in percent of what is wanted."""
    y = np.asarray(wanted, np.float64)
    return float(np.mean(np.abs(np.asarray(foreseen, np.float64) - y) / y) * 100)


def akaike(wanted: ArrayLike, foreseen: ArrayLike, parameters: int) -> float:
    """Akaike's criterion of a fit by least squares, corrected for few points; the lower, the better.

    [Hurvich, Tsai, Regression and time series model selection in small samples, 1989]
    """
    y = np.asarray(wanted, np.float64)
    count, free = len(y), parameters + 1  # and the noise's scale
    if count <= free + 1:
        return float("inf")
    squares = float(np.sum((np.asarray(foreseen, np.float64) - y) ** 2))
    least = count * (1e-9 * float(np.abs(y).max())) ** 2
    return count * log(max(squares, least) / count) + 2 * free * count / (count - free - 1)


def _table(columns: Sequence[ArrayLike], wanted: ArrayLike) -> tuple[F64, F64]:
    table, y = np.stack([np.asarray(each, np.float64) for each in columns], -1), np.asarray(wanted, np.float64)
    if len(y) < table.shape[1]:
        raise InputError("too few points for a fit", needed=f"at least {table.shape[1]}", had=str(len(y)))
    return table, y
