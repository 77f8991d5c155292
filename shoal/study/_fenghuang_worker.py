"""One of several processes that exchange arrays through a pool, and around a ring on sockets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.measure.joined import worked_together
from shoal.wire.collectives import FAMILY, Collective, Group, even
from shoal.wire.pool import Exchanges, Port

F32 = NDArray[np.float32]
CHECKED = 100_003  # numbers of the arrays that are compared


@dataclass(frozen=True)
class Job:
    """What each process does."""

    pool: str  # where its server listens
    sizes: tuple[int, ...]  # bytes of the arrays that are timed
    rounds: int  # of each
    seed: int


@dataclass(frozen=True)
class Answer:
    """What it found."""

    pool_s: tuple[tuple[float, ...], ...]  # of each round, by size
    ring_s: tuple[tuple[float, ...], ...]
    off: float  # both sums from numpy's, of its largest magnitude
    again: bool  # the pool's sum of the same arrays has the same bits
    moved: bool  # what is gathered and what is exchanged all to all are as they should be


def main(job: Job, group: Group) -> Answer:
    """Check, then time: rounds of both ways in turn."""
    ring: Collective = catalog.make(FAMILY, "ring")
    with Port(Path(job.pool), group.rank) as port:
        pool = Exchanges(port)
        off, again = _summed(job, group, pool, ring)
        moved = _moved(group, pool)
        pool_s, ring_s = list[tuple[float, ...]](), list[tuple[float, ...]]()
        for size in job.sizes:
            array = np.zeros(size // 4, np.float32)
            cuts = even(len(array), group.members)
            both = [
                (_timed(partial(pool.all_reduce, array)), _timed(partial(ring.all_reduce, group, array, cuts)))
                for _ in range(1 + job.rounds)
            ][1:]  # memory is touched for the first time in the first
            pool_s.append(tuple(each for each, _ in both))
            ring_s.append(tuple(each for _, each in both))
    return Answer(tuple(pool_s), tuple(ring_s), off, again, moved)


def _summed(job: Job, group: Group, pool: Exchanges, ring: Collective) -> tuple[float, bool]:
    arrays = np.random.default_rng(job.seed).standard_normal((group.members, CHECKED)).astype(np.float32)
    wanted = arrays.sum(axis=0, dtype=np.float64)
    one, other, third = (arrays[group.rank].copy() for _ in range(3))
    pool.all_reduce(one)
    pool.all_reduce(other)
    ring.all_reduce(group, third, even(CHECKED, group.members))
    off = max(float(np.abs(each - wanted).max()) for each in (one, third)) / float(np.abs(wanted).max())
    return off, np.array_equal(one, other)


def _moved(group: Group, pool: Exchanges) -> bool:
    count, length = group.members, CHECKED // group.members
    gathered = np.full(count * length, -1, np.float32)
    gathered[group.rank * length : (group.rank + 1) * length] = group.rank
    pool.all_gather(gathered, even(count * length, count))
    swapped = np.repeat(np.arange(count, dtype=np.float32), length) + 10 * group.rank
    pool.all_to_all(swapped)
    order = np.repeat(np.arange(count), length)
    return np.array_equal(gathered, order) and np.array_equal(swapped, 10 * order + group.rank)


def _timed(call: Callable[[], None]) -> float:
    begun_s = time.perf_counter()
    call()
    return time.perf_counter() - begun_s


if __name__ == "__main__":
    worked_together(main, Job)
