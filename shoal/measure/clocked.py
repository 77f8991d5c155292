"""Seconds of something done again and again: warm-up, median, quartiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median and quartiles in seconds."""

    low_s: float
    median_s: float
    high_s: float
    repeats: int

    def scaled(self, factor: float) -> Spread:
        """All three times `factor`."""
        return Spread(self.low_s * factor, self.median_s * factor, self.high_s * factor, self.repeats)


def clocked(work: Callable[[], object], repeats: int, warm_up: int = 2) -> Spread:
    """Run `work` `warm_up` times unwatched, then `repeats` times by the clock."""
    for _ in range(warm_up):
        work()
    times_s = []
    for _ in range(repeats):
        start_s = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - start_s)
    return spread(times_s)


def spread(times_s: Sequence[float]) -> Spread:
    """Median and quartiles of `times_s`, interpolated between neighbours."""
    ordered = sorted(times_s)
    low_s, median_s, high_s = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    return Spread(low_s, median_s, high_s, len(ordered))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
