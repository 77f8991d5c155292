"""Caches: how many bytes a second go through a sum of two arrays that stay in one level."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.measure.caches import Cache, caches
from shoal.measure.clocked import clocked
from shoal.measure.machine import machine_id
from shoal.measure.subject import bench_subject
from shoal.record import Sample

Array = NDArray[np.float32]
Passing = Callable[[Array, Array, Array, int], object]  # total, left, right, passes
ARRAYS, WORD = 3, 4


@dataclass(frozen=True)
class Cached:
    """a = b + c over float32 arrays as in `stream`, in a share of one cache, again and again. Counts three arrays a pass.

    A call makes many passes in compiled code, so that Python is left once a call. Where numba is not installed, numpy
    sums the rows of a matrix that are all the same memory, b = b + c: in a first-level cache that reaches half to three
    quarters of the compiled loop's rate, because some 20 ns between two rows are in it. The subject names the level and
    the bytes that the threads have of it together.
    """

    level: int = 1
    share: float = 0.5  # of the cache that the arrays fill: what else is there, and how sets fall, need the rest
    call_bytes: int = 256_000_000  # that a call moves, all threads together: some milliseconds
    repeats: int = 20  # timed calls at least
    least_s: float = 0.3  # how long to go on

    def run(self, threads: int) -> Sample:
        """See `Bench.run`.

        Raises:
            InputError: the machine has no such level.
        """
        capacity = self._cache().bytes_of(threads)
        count = max(1, int(capacity * self.share) // (ARRAYS * WORD * threads))  # of one thread's array
        passes = max(1, self.call_bytes // (ARRAYS * WORD * count * threads))
        parts = [np.ones((ARRAYS, count), np.float32) for _ in range(threads)]
        engine, add = _passing()

        def make_passes(part: Array) -> None:
            add(part[0], part[1], part[2], passes)

        with ThreadPoolExecutor(threads) as pool:
            took = clocked(lambda: list(pool.map(make_passes, parts)), self.repeats, least_s=self.least_s)
        subject = bench_subject(f"cached:{self.level}:{capacity}", ARRAYS * WORD * count * passes * threads)
        return Sample(
            subject, machine_id(), engine, "float32", threads,
            took.median_s, took.low_s, took.high_s, took.repeats,
        )  # fmt: skip

    def _cache(self) -> Cache:
        found = {cache.level: cache for cache in caches()}
        if self.level not in found:
            raise InputError("no cache of this level", where="bench 'cached'", needed=f"level={self.level}",
                             had=", ".join(map(str, found)))  # fmt: skip
        return found[self.level]


@cache
def _passing() -> tuple[str, Passing]:
    """Who makes the passes, and how; neither holds the interpreter's lock meanwhile."""
    try:
        from numba import njit
    except ImportError:
        return "numpy", _summed
    return "numba", njit(nogil=True)(_added)


def _added(total: Array, left: Array, right: Array, passes: int) -> None:
    for _ in range(passes):
        for index in range(total.size):
            total[index] = left[index] + right[index]


def _summed(total: Array, left: Array, right: Array, passes: int) -> None:
    np.add.reduce(as_strided(right, (passes, right.size), (0, WORD)), axis=0, out=total)
