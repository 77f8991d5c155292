"""Memory: how many bytes a second go through a sum of two arrays far larger than any cache."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.measure.clocked import clocked
from shoal.measure.machine import machine_id
from shoal.measure.subject import bench_subject
from shoal.record import Sample

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Stream:
    """a = b + c over float32 arrays, in numpy, each thread on its part. [McCalpin: STREAM, "Add", 1995]

    Counts three arrays a pass, as STREAM does; what the processor reads before writing is not counted.
    """

    megabytes: int = 96  # of each of the three arrays: beyond the largest caches of client processors
    repeats: int = 10  # timed passes

    def run(self, threads: int) -> Sample:
        """See `Bench.run`."""
        count = self.megabytes * 1_000_000 // 4
        arrays = [np.full(count, value, np.float32) for value in (0.0, 1.0, 2.0)]
        parts = _split(arrays, threads)
        with ThreadPoolExecutor(threads) as pool:
            took = clocked(lambda: list(pool.map(_add, parts)), self.repeats)
        subject = bench_subject("stream", 3 * 4 * count)
        return Sample(
            subject, machine_id(), "numpy", "float32", threads,
            took.median_s, took.low_s, took.high_s, took.repeats,
        )  # fmt: skip


def _split(arrays: list[Array], parts: int) -> list[tuple[Array, ...]]:
    """Consecutive parts of each array, together; views."""
    return list(zip(*(np.array_split(array, parts) for array in arrays), strict=True))


def _add(part: tuple[Array, ...]) -> None:
    total, left, right = part
    np.add(left, right, out=total)  # releases the interpreter's lock
