"""Calling: how many ops a second an engine begins that have next to nothing to do."""

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
class Launch:
    """A chain of negations of one value in onnxruntime, not fused. Counts the ops of the chain.

    Ops so small are not divided over threads, so what dividing a larger one takes is not in it.
    """

    chain: int = 2048  # ops one after another, so that calling the session is a small part
    repeats: int = 50  # timed calls at least
    least_s: float = 0.1  # how long to go on

    def run(self, threads: int) -> Sample:
        """See `Bench.run`."""
        names = ["x", *(f"h{index}" for index in range(1, self.chain)), "y"]
        nodes = [("Neg", (given,), made) for given, made in pairwise(names)]
        chain = session(nodes, (1,), threads, optimised=False)
        value = np.ones(1, np.float32)
        took = clocked(lambda: chain.run(None, {"x": value}), self.repeats, 3, self.least_s)
        return Sample(
            bench_subject("launch", self.chain), machine_id(), "onnxruntime", "float32", threads,
            took.median_s, took.low_s, took.high_s, took.repeats,
        )  # fmt: skip
