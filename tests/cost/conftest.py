"""The toy fleet and program, and a small model."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from shoal.fleet import Fleet
from shoal.graph import Graph, load
from shoal.program import Program
from tests.cost.toys import two_and_one, two_stages


@pytest.fixture
def fleet() -> Fleet:
    return two_and_one()


@pytest.fixture
def program() -> Program:
    return two_stages()


@pytest.fixture
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """MatMul (1, 8) @ (8, 16), Relu, MatMul @ (16, 4): 192 multiply-accumulates, 768 bytes of weights."""
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
    ]
    weights = {"v": (8, 16), "w": (16, 4)}
    made = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("x", 1, (1, 8))], [helper.make_tensor_value_info("y", 1, (1, 4))],
        [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return load(path)
