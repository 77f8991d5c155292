"""A small network, a fleet of two boards, a plan for them, and the command line within this process."""

from __future__ import annotations

import json
from collections.abc import Callable
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
LAYERS = 4


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The message of a command that refused its input: one line, perhaps a hint, nothing else."""
        assert self.code == 2, (self.code, self.err)
        lines = self.err.splitlines()
        assert self.out == ""
        assert lines[0].startswith("error: "), self.err
        assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("  hint: ")), self.err
        return self.err


Shoal = Callable[..., Done]


@pytest.fixture
def shoal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shoal:
    """`shoal("plan", …)` in an empty folder, on a terminal of `columns`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # for the workers it starts

    def call(*arguments: object, columns: int = 80) -> Done:
        monkeypatch.setenv("COLUMNS", str(columns))
        code = app.run([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        assert "Traceback" not in streams.err
        return Done(code, streams.out, streams.err)

    return call


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four convolutions, each with its activation, over photos of 32 × 32."""
    source = np.random.default_rng(0)
    nodes, weights = [], []
    for layer in range(LAYERS):
        read = "image" if layer == 0 else f"r{layer - 1}"
        channels = 3 if layer == 0 else 8
        array = source.standard_normal((8, channels, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(array, f"w{layer}"))
        nodes.append(
            helper.make_node("Conv", [read, f"w{layer}"], [f"c{layer}"], f"conv{layer}", pads=[1, 1, 1, 1])
        )
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"], f"relu{layer}"))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])
    label = helper.make_tensor_value_info(f"r{LAYERS - 1}", TensorProto.FLOAT, [1, 8, 32, 32])
    graph = helper.make_graph(nodes, "four", [image], [label], weights)
    path = tmp_path_factory.mktemp("model") / "four.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Raspberry Pi 4 and a Zero on a quick link."""
    path = tmp_path_factory.mktemp("fleet") / "fleet.toml"
    path.write_text(FLEET)
    return path


@pytest.fixture(scope="session")
def plan(model: Path, fleet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan that gives each board one half."""
    folder = tmp_path_factory.mktemp("plan")
    assert app.run(["plan", str(model), str(fleet), "--shares", "1,1", "--no-profile", "-o", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def simulated(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a run of that plan in the simulator."""
    path = tmp_path_factory.mktemp("run") / "run.json"
    assert app.run(["simulate", str(plan), "--items", "8", "-o", str(path)]) == 0
    return path
