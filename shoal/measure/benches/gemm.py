"""Arithmetic: how many float32 operations a second a matrix product reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

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
        session = _session(self.size, threads)
        left = np.random.default_rng(0).standard_normal((self.size, self.size)).astype(np.float32)
        took = clocked(lambda: session.run(None, {"x": left}), self.repeats, 3, self.least_s)
        subject = bench_subject("gemm", 2 * self.size**3)
        return Sample(
            subject, machine_id(), "onnxruntime", "float32", threads,
            took.median_s, took.low_s, took.high_s, took.repeats,
        )  # fmt: skip


def _session(size: int, threads: int) -> Any:
    import onnxruntime
    from onnx import helper, numpy_helper

    weight = np.random.default_rng(1).standard_normal((size, size)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "gemm",
        [helper.make_tensor_value_info("x", 1, (size, size))],
        [helper.make_tensor_value_info("y", 1, (size, size))],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
