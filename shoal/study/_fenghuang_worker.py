"""One of several processes that exchange arrays through a pool, and around a ring on sockets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.measure.joined import worked_together
from shoal.wire.collectives import FAMILY, Collective, Group, even

F32 = NDArray[np.float32]
CHECKED = 600_000  # numbers of the arrays that are compared: several chunks, a multiple of 2 to 6 members


@dataclass(frozen=True)
class Job:
    """What each process does."""

    ways: tuple[str, ...]  # of `wire/collectives`; all are held against the last
    sizes: tuple[int, ...]  # bytes of the arrays that are timed
    rounds: int  # of each
    seed: int


@dataclass(frozen=True)
class Answer:
    """What it found."""

    seconds: tuple[tuple[tuple[float, ...], ...], ...]  # of each round, by way and size
    off: float  # sums from numpy's, of its largest magnitude; the most of all ways
    again: bool  # each way's sum of the same arrays has the same bits
    moved: bool  # what is gathered, and exchanged all to all, is the same by all ways, and as it should be


def main(job: Job, group: Group) -> Answer:
    """Check, then time: rounds of all ways in turn."""
    ways: list[Collective] = [catalog.make(FAMILY, each) for each in job.ways]
    checked = [_summed(job.seed, group, how) for how in ways]
    moved = [_moved(group, how) for how in ways]
    by_size = [_timed(ways, group, size // 4, job.rounds) for size in job.sizes]
    seconds = tuple(tuple(size[way] for size in by_size) for way in range(len(ways)))
    return Answer(seconds, max(off for off, _ in checked), all(again for _, again in checked), all(moved))


def _summed(seed: int, group: Group, how: Collective) -> tuple[float, bool]:
    arrays = np.random.default_rng(seed).standard_normal((group.members, CHECKED), np.float32)
    wanted = arrays.sum(axis=0, dtype=np.float64)
    one, other = (arrays[group.rank].copy() for _ in range(2))
    for each in (one, other):
        how.all_reduce(group, each, even(CHECKED, group.members))
    return float(np.abs(one - wanted).max() / np.abs(wanted).max()), np.array_equal(one, other)


def _moved(group: Group, how: Collective) -> bool:
    count, length = group.members, CHECKED // group.members
    gathered = np.full(count * length, -1, np.float32)
    gathered[group.rank * length : (group.rank + 1) * length] = group.rank
    how.all_gather(group, gathered, even(count * length, count))
    crossed = np.repeat(np.arange(count, dtype=np.float32), length) + 10 * group.rank
    how.all_to_all(group, crossed)
    order = np.repeat(np.arange(count), length)
    return np.array_equal(gathered, order) and np.array_equal(crossed, 10 * order + group.rank)


def _timed(ways: list[Collective], group: Group, count: int, rounds: int) -> list[tuple[float, ...]]:
    """Seconds of each round, by way; memory is touched for the first time in one that is left out."""
    array = np.zeros(count, np.float32)
    calls = [partial(how.all_reduce, group, array, even(count, group.members)) for how in ways]
    taken = [[_seconds(call) for call in calls] for _ in range(1 + rounds)][1:]
    return list(zip(*taken, strict=True))


def _seconds(call: Callable[[], None]) -> float:
    begun_s = time.perf_counter()
    call()
    return time.perf_counter() - begun_s


if __name__ == "__main__":
    worked_together(main, Job)
