"""Arithmetic: how many float32 operations a second a matrix product reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.measure.benches._session import session
from shoal.measure.clocked import clocked
from shoal.measure.machine import machine_id
from shoal.measure.subject import bench_subject
from shoal.record import Sample


@dataclass(frozen=True)
class Gemm:
    """A square matrix product in onnxruntime, whose convolutions run on the same kernels.

    Counts 2 · size³ operations.
    """

    size: int = 768  # rows and columns: three such matrices (7 MB) stay in most second- or third-level caches
    repeats: int = 20  # timed products at least
    least_s: float = 1.0  # how long to go on

    def run(self, threads: int) -> Sample:
        """See `Bench.run`."""
        shape = (self.size, self.size)
        weight = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        made = session([("MatMul", ("x", "w"), "y")], shape, threads, {"w": weight})
        left = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        took = clocked(lambda: made.run(None, {"x": left}), self.repeats, 3, self.least_s)
        subject = bench_subject("gemm", 2 * self.size**3)
        return Sample(
            subject, machine_id(), "onnxruntime", "float32", threads,
            took.median_s, took.low_s, took.high_s, took.repeats,
        )  # fmt: skip
