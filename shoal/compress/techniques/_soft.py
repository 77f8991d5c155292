"""Choices between two values as something with a slope: a stretched sigmoid, pulled to either end, and steps of Adam.

Source: AdaRound, arXiv 2004.10568.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Choice = NDArray[np.bool_]  # (rows, columns): the value above instead of the one below
STRETCH, SHIFT = 1.2, -0.1  # of the sigmoid, which is then cut to 0 and 1: both can be reached
SHARP, SOFT = 2.0, 20.0  # powers of the regulariser at the end and at the start
WARM = 0.2  # of the steps, without it
PULL = 2.0  # of the regulariser, in what rounding to nearest loses
DECAYS = (0.9, 0.999)  # of Adam


def learned(share: F32, slope_of: Callable[[F32], F32], steps: int, rate: float) -> Choice:
    """The choice that gradients lead to.

    Args:
        share: (rows, columns): how far each weight is on its way from the value below, 0, to that above, 1.
        slope_of: of such shares, how the loss changes with each.
        steps: of Adam; without any, the nearest.
        rate: of Adam.
    """
    v, adam = _inverse(share), _Adam(share.shape, rate)
    for step in range(steps):
        flat, slope = _rectified(v)
        v -= adam.step((slope_of(flat) + _pull(flat, step / steps)) * slope)
    return _rectified(v)[0] > 0.5


class _Adam:
    """Steps of Adam, arXiv 1412.6980."""

    def __init__(self, shape: tuple[int, ...], rate: float) -> None:
        self._mean, self._square = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._rate, self._count = rate, 0

    def step(self, gradient: F32) -> F32:
        """What to subtract."""
        self._count += 1
        first, second = DECAYS
        self._mean += (gradient - self._mean) * np.float32(1 - first)
        self._square += (gradient * gradient - self._square) * np.float32(1 - second)
        mean = self._mean / np.float32(1 - first**self._count)
        spread = np.sqrt(self._square / np.float32(1 - second**self._count))
        found: F32 = np.float32(self._rate) * mean / (spread + np.float32(1e-8))
        return found


def _rectified(v: F32) -> tuple[F32, F32]:
    """The stretched sigmoid cut to 0 and 1, and its slope."""
    soft = 1 / (1 + np.exp(np.clip(-v, -80, 80)))
    flat = soft * np.float32(STRETCH) + np.float32(SHIFT)
    slope = np.where((flat > 0) & (flat < 1), soft * (1 - soft) * np.float32(STRETCH), np.float32(0))
    return np.clip(flat, 0, 1), slope


def _inverse(share: F32) -> F32:
    """Where the sigmoid has this value, or one a little inside."""
    soft = np.clip((share - SHIFT) / STRETCH, 0.01, 0.99)
    found: F32 = np.log(soft / (1 - soft)).astype(np.float32)
    return found


def _pull(flat: F32, done: float) -> F32:
    """The slope of 1 − |2h − 1|^β, which has its zeros at 0 and 1; β falls with the share of the steps that is done."""
    if done < WARM:
        return np.zeros_like(flat)
    power = np.float32(SOFT + (SHARP - SOFT) * (done - WARM) / (1 - WARM))
    centred = 2 * flat - 1
    found: F32 = np.float32(-2 * PULL) * power * np.abs(centred) ** (power - 1) * np.sign(centred)
    return found
