"""From where on one design pays: how many accelerators a fabric has to replace, how long a fleet has to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal

from shoal.cost.carbon.ratios import weighed
from shoal.errors import InputError

MOST = 2.0**60  # accelerators: what has not crossed 1 by then does not


def pays_from(alpha: float, area_ratio: float, energy_ratio: float) -> float:
    """How many equal accelerators one fabric has to replace to have the smaller footprint; inf if no number helps.

    The fabric has `area_ratio` times the area of one accelerator and takes `energy_ratio` times its energy. Of N
    accelerators it has the footprint α · area_ratio / N + (1 - α) · energy_ratio, which is 1 at the number given.

    Raises:
        InputError: no such share, or a ratio that is none.
    """
    operational = weighed(alpha, 0.0, _checked(energy_ratio))
    return alpha * _checked(area_ratio) / (1 - operational) if operational < 1 else inf


def best_gain(alpha: float, energy_ratio: float) -> float:
    """What the footprint can be divided by at most, however many accelerators are replaced."""
    operational = weighed(alpha, 0.0, _checked(energy_ratio))
    return 1 / operational if operational else inf


def crossing(footprint: Callable[[float], float]) -> float:
    """Where a falling `footprint` of a number above 0 becomes 1, found by halving; inf if it stays above."""
    low, high = 0.0, 1.0
    while footprint(high) > 1:
        low, high = high, 2 * high
        if high > MOST:
            return inf
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if footprint(middle) > 1 else (low, middle)
    return high


@dataclass(frozen=True)
class PaysBack:
    """When a fleet has the smaller total."""

    kind: Literal["always", "never", "after", "until"]
    seconds: float = 0.0  # of operation; of "after" and "until"


def pays_back(extra_kg: float, saved_kg_per_s: float) -> PaysBack:
    """When a fleet whose making emits `extra_kg` more, and whose operation less, has the smaller total."""
    if extra_kg <= 0 <= saved_kg_per_s:
        return PaysBack("always")
    if extra_kg >= 0 >= saved_kg_per_s:
        return PaysBack("never")
    return PaysBack("after" if extra_kg > 0 else "until", extra_kg / saved_kg_per_s)


def _checked(ratio: float) -> float:
    if not (ratio >= 0 and isfinite(ratio)):
        raise InputError("no ratio of two areas or energies", needed="0 or more", had=f"{ratio:g}")
    return ratio
