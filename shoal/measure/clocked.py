"""Seconds of something done again and again: warm-up, median, quartiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST_REPEATS = 100


@dataclass(frozen=True)
class Spread:
    """Median and quartiles in seconds."""

    low_s: float
    median_s: float
    high_s: float
    repeats: int


def clocked(
    work: Callable[[], object],
    repeats: int,
    warm_up: int = 2,
    least_s: float = 0.0,
    timer: Callable[[], float] = time.perf_counter,
) -> Spread:
    """Run `work` `warm_up` times unwatched, then by the clock.

    Args:
        work: what to time.
        repeats: how often at least.
        warm_up: how often before.
        least_s: go on for so long, up to MOST_REPEATS: a few quick runs all fall into one disturbance.
        timer: the clock, in seconds.
    """
    for _ in range(warm_up):
        work()
    times_s: list[float] = []
    total_s = 0.0
    while len(times_s) < repeats or (total_s < least_s and len(times_s) < MOST_REPEATS):
        start_s = timer()
        work()
        times_s.append(timer() - start_s)
        total_s += times_s[-1]
    return spread(times_s)


def own_clock(threads: int) -> Callable[[], float]:
    """The clock for work on `threads` threads: of one it is its own time, in which others who are busy do not count."""
    return time.thread_time if threads == 1 else time.perf_counter


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
