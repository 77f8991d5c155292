"""Small models for onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def session(
    nodes: Sequence[tuple[str, Sequence[str], str]],
    shape: tuple[int, ...],
    threads: int,
    weights: Mapping[str, NDArray[np.float32]] | None = None,
    *,
    optimised: bool = True,
) -> Any:
    """One that runs `nodes` (kind, inputs, output) in order, from "x" to "y", both float32 of `shape`."""
    import onnxruntime
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node(kind, list(inputs), [output]) for kind, inputs, output in nodes],
        "bench",
        [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info("y", 1, shape)],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
