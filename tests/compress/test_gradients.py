"""A graph's ops in torch give what onnxruntime gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from shoal.compress.gradients import Differentiable
from shoal.errors import ModelError
from shoal.graph import load
from tests.graph.models import floats, info, model, node, write

torch = pytest.importorskip("torch")
WHOLE = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
CASES: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "pictures": (
        [node("Resize", "x - two", "r", **WHOLE), node("Exp", "r", "y")],
        {"two": np.array([1, 1, 2, 2], np.float32)},
    ),
    "rows": (
        [
            node("Reshape", "x shape", "r"), node("Transpose", "r", "t", perm=[0, 2, 1]), node("Erf", "t", "e"),
            node("LayerNormalization", "e scale shift", "n"), node("Neg", "n", "m"), node("Max", "n m", "a"),
            node("ReduceMean", "a axes", "c", keepdims=0), node("ReduceSum", "c", "d"), node("Add", "c d", "f"),
            node("ReduceL2", "f", "g"), node("Mul", "f g", "y"),
        ],
        {"shape": np.array([0, 6, -1]), "scale": floats(6), "shift": floats(6, seed=1), "axes": np.array([-2])},
    ),
    "words": (
        [
            node("ReduceSum", "x axes", "s"), node("Cast", "s", "i", to=7), node("Gather", "table i", "g"),
            node("Unsqueeze", "g first", "u"), node("Pow", "u two", "p"), node("Sqrt", "p", "y"),
        ],
        {"table": floats(9, 4), "axes": np.array([1, 3]), "first": np.array([0]), "two": np.array(2, np.float32)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_ops_are_those_of_onnx(name: str, tmp_path: Path) -> None:
    nodes, weights = CASES[name]
    path = write(model(nodes, [info("x", (1, 3, 4, 6))], ["y"], weights, 18), tmp_path)
    x = np.clip(floats(1, 3, 4, 6), -0.3, 0.3)
    (expected,) = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    found = Differentiable(load(path))({"x": torch.from_numpy(x)}, ["y"])["y"]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_what_has_no_gradient_is_named(tmp_path: Path) -> None:
    odd = write(model([node("Softsign", "x", "y")], [info("x", (1, 4))], ["y"]), tmp_path)
    with pytest.raises(ModelError, match="'Softsign' has no gradient") as fault:
        Differentiable(load(odd))
    assert "adaround" in fault.value.hint
    smooth = [node("Resize", "x - two", "y", mode="linear")]
    weights = {"two": np.array([1, 1, 2, 2], np.float32)}
    path = write(model(smooth, [info("x", (1, 1, 2, 2))], ["y"], weights), tmp_path, "smooth.onnx")
    with pytest.raises(ModelError, match="'Resize' of this form"):
        Differentiable(load(path))({"x": torch.zeros(1, 1, 2, 2)}, ["y"])
