"""A product that is to stay as it is stays so in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from shoal.compress import compress, opened
from shoal.compress.techniques.rtn import Rtn
from shoal.engines import onnxruntime_form
from shoal.graph import save
from tests.compress import nets
from tests.graph.models import write


def _run(path: Path, given: list[nets.Arrays], level: ort.GraphOptimizationLevel) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = level, 3
    options.optimized_model_filepath = str(path.with_name("optimised.onnx"))
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, dict(each))[0] for each in given])


def test_a_skipped_convolution_between_rounded_tensors_is_not_coded(tmp_path: Path) -> None:
    proto = nets.mixed()
    graph = opened(write(proto, tmp_path))
    second = [op.name for op in graph.ops if op.kind == "Conv"][1]
    given = nets.samples(proto)
    smaller = compress(graph, [Rtn("int8")], samples=given, activations="int8", skip=[second])
    save(onnxruntime_form(smaller.model), tmp_path / "smaller.onnx")
    plain = _run(tmp_path / "smaller.onnx", given, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    found = _run(tmp_path / "smaller.onnx", given, ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds.count("QLinearConv") == 2
    assert kinds.count("Conv") + kinds.count("FusedConv") == 1
    step = np.abs(plain).max() / 127
    np.testing.assert_allclose(found, plain, atol=2 * step)
