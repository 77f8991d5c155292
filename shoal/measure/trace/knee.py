"""Where a sweep leaves its flat part: the load from which a device, not its host, sets the pace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

ROUNDING = 1e-9  # of logarithms, for a knee that is a point of the sweep
GROWN = 0.25  # of the flat part, by which a value is above it


@dataclass(frozen=True)
class Knee:
    """Where growth begins."""

    at: float  # the load between the two fitted segments
    first: float  # the first load of the sweep whose value is beyond the flat part for good
    floor: float  # the value of the flat part
    slope: float  # of the growth, in powers of the load


def knee(loads: Sequence[float], values: Sequence[float], grown: float = GROWN) -> Knee | None:
    """The knee of `values` over ascending `loads`, or None if they stay flat.

    `first` is by the rule of the flat prefix: more than `grown` above the median of all before, from there on. `at`
    is by a level and a rising line that fit best on double-logarithmic axes (least squares), each over its own part of
    the sweep: where they meet, or half-way between the parts if values jump there.

    Raises:
        InputError: fewer than three points, loads that do not ascend, or a figure that is not above zero.
    """
    x, y = _checked(loads, values)
    first = _first(y, grown)
    if first is None:
        return None
    log_x, log_y = np.log(x), np.log(y)
    splits = [_Split.fitted(log_x, log_y, place) for place in range(1, len(x))]
    best = min(splits, key=lambda each: each.error)
    return Knee(float(np.exp(best.at)), float(x[first]), float(np.exp(best.level)), best.slope)


def bound(values: Sequence[float], grown: float = GROWN) -> tuple[Literal["host", "device"], ...]:
    """What sets the pace at each load of a sweep that begins with a flat part.

    Raises:
        InputError: fewer than three points, or a figure that is not above zero.
    """
    _, y = _checked(range(1, len(values) + 1), values)
    first = _first(y, grown)
    return tuple("host" if first is None or place < first else "device" for place in range(len(y)))


def slope(loads: Sequence[float], values: Sequence[float]) -> float:
    """The power of the load that values grow with: the slope of a line on double-logarithmic axes.

    Raises:
        InputError: fewer than two points, loads that do not ascend, or a figure that is not above zero.
    """
    x, y = _checked(loads, values, least=2)
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def _checked(
    loads: Sequence[float], values: Sequence[float], least: int = 3
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(loads, float), np.asarray(values, float)
    if len(x) != len(y) or len(x) < least or not (np.diff(x) > 0).all():
        raise InputError("no sweep", needed=f"{least} points or more, of ascending loads", had=f"{len(x)} points")
    if not ((x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)).all():
        raise InputError("a sweep has figures above zero only", had=f"{min(x.min(), y.min()):g}")
    return x, y


def _first(y: NDArray[np.float64], grown: float) -> int | None:
    """The first place from which on all values are beyond the flat part."""
    for place in range(1, len(y)):
        if (y[place:] > (1 + grown) * median(y[:place])).all():
            return place
    return None


@dataclass(frozen=True)
class _Split:
    """A level up to a place of the sweep and a line from there on; all on logarithms."""

    error: float  # sum of squares
    level: float
    slope: float
    at: float

    @classmethod
    def fitted(cls, x: NDArray[np.float64], y: NDArray[np.float64], place: int) -> _Split:
        """The best level of the points before `place`, and the best line of the rest."""
        level = float(y[:place].mean())
        low, high = float(x[place - 1]), float(x[place])
        if place < len(x) - 1:
            rise, start = (float(each) for each in np.polyfit(x[place:], y[place:], 1))
        else:
            rise = float(y[place] - level) / (high - low)
            start = float(y[place]) - rise * high
        error = ((y[:place] - level) ** 2).sum() + ((y[place:] - start - rise * x[place:]) ** 2).sum()
        meeting = (level - start) / rise if rise > 0 else low - 1
        return cls(
            float(error), level, rise, meeting if low - ROUNDING <= meeting <= high + ROUNDING else (low + high) / 2
        )
