"""What the fuzz tests mutate: a small network, a plan of it, its run and its bundles, made once as users make them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from shoal.cli import app

FLEET = """
[devices.pi]
board = "raspberry-pi-4b-4gb"
[devices.zero]
board = "raspberry-pi-zero-2w"

[default_link]
bandwidth = "1 Gbit/s"
latency = "0.1 ms"
"""


@dataclass(frozen=True)
class Files:
    """Valid files of every kind that commands write and read."""

    model: Path
    fleet: Path
    plan: Path  # a folder
    run: Path
    packed: Path  # a folder

    def json(self, path: Path) -> Any:
        return json.loads(path.read_text())


def network(layers: int = 3) -> onnx.ModelProto:
    """Convolutions, each with its activation, over photos of 8 × 8; one weight is made by ConstantOfShape."""
    source = np.random.default_rng(0)
    nodes, weights = [], []
    for layer in range(layers):
        read = "image" if layer == 0 else f"r{layer - 1}"
        array = source.standard_normal((4, 3 if layer == 0 else 4, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(array, f"w{layer}"))
        nodes.append(helper.make_node("Conv", [read, f"w{layer}"], [f"c{layer}"], f"conv{layer}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"], f"relu{layer}"))
    weights.append(numpy_helper.from_array(np.asarray([1, 4, 8, 8], np.int64), "sizes"))
    nodes.append(helper.make_node("ConstantOfShape", ["sizes"], ["ones"], "ones"))
    nodes.append(helper.make_node("Add", [f"r{layers - 1}", "ones"], ["sum"], "sum"))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    label = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 4, 8, 8])
    graph = helper.make_graph(nodes, "small", [image], [label], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("files")
    found = Files(
        folder / "small.onnx", folder / "fleet.toml", folder / "plan", folder / "run.json", folder / "packed"
    )
    onnx.save(network(), found.model)
    found.fleet.write_text(FLEET)
    _done("plan", found.model, found.fleet, "--shares", "1,1", "--no-profile", "-o", found.plan)
    _done("simulate", found.plan, "--items", 4, "-o", found.run)
    _done("pack", found.plan, "-o", found.packed)
    return found


def _done(*arguments: object) -> None:
    assert app.run([str(argument) for argument in arguments]) == 0
