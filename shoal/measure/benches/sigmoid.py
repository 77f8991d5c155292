"""Functions of single values: how many of them a second are computed from a series."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from shoal.measure.benches._session import session
from shoal.measure.clocked import clocked
from shoal.measure.machine import machine_id
from shoal.measure.subject import bench_subject
from shoal.record import Sample


@dataclass(frozen=True)
class Sigmoid:
    """A chain of sigmoids in onnxruntime over values that stay in a second-level cache.

    Counts a function for each value and each op of the chain; calling an op is part of the time, less than a tenth.
    """

    count: int = 16384  # values: in and out are 128 KiB
    chain: int = 128  # ops one after another, so that calling the session is a small part
    repeats: int = 20  # timed calls at least
    least_s: float = 0.3  # how long to go on

    def run(self, threads: int) -> Sample:
        """See `Bench.run`."""
        names = ["x", *(f"h{index}" for index in range(1, self.chain)), "y"]
        nodes = [("Sigmoid", (given,), made) for given, made in pairwise(names)]
        chain = session(nodes, (self.count,), threads, optimised=False)
        values = np.random.default_rng(0).standard_normal(self.count).astype(np.float32)
        took = clocked(lambda: chain.run(None, {"x": values}), self.repeats, 3, self.least_s)
        return Sample(
            bench_subject("sigmoid", self.count * self.chain), machine_id(), "onnxruntime", "float32", threads,
            took.median_s, took.low_s, took.high_s, took.repeats,
        )  # fmt: skip
