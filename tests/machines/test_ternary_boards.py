"""The boards of the ternary engines: a product of a fleet costs what a run of the machine takes, and runs on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.cost import CostKey
from shoal.engines import machine_of
from shoal.errors import PlanError
from shoal.fleet import load
from shoal.graph.build import from_model
from shoal.machines.accelerators import accelerator, calls
from shoal.measure.segment import whole_segment
from tests.machines.calls import CASES

UNITS = {"alveo-u280-ternary": "core", "kv260-ternary": "engine"}


@pytest.mark.parametrize("board", UNITS)
def test_an_op_on_the_board_costs_a_run_of_its_machine(board: str, tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text(f'[devices.fpga]\nboard = "{board}"\n')
    fleet, unit = load(tmp_path / "fleet.toml"), f"fpga/{UNITS[board]}"
    (engine,) = fleet.unit(unit).engines
    graph = from_model(CASES["MatMul, ternary"](), "one", "", "")
    costs = catalog.make("cost/models", "machines").over(graph, fleet, ())
    machine = accelerator(machine_of(engine) or "")
    (call,) = calls(graph.model)
    ran = machine.run(machine.compiled(call))
    assert costs.estimate(CostKey(("y",), unit, engine)).seconds == ran.seconds
    dense = from_model(CASES["MatMul"](), "dense", "", "")
    with pytest.raises(PlanError, match="the weights are not ternary"):
        catalog.make("cost/models", "machines").over(dense, fleet, ()).estimate(CostKey(("y",), unit, engine))


@pytest.mark.parametrize("name", ["tereffic", "tellme+ports=2"])
def test_the_engine_runs_a_graph_on_the_machine(name: str, tmp_path: Path) -> None:
    engine, graph = f"simulated:machine={name}", from_model(CASES["MatMul, ternary"](), "one", "", "")
    program, segment = whole_segment(graph, engine, tmp_path)
    session = catalog.make("engines", engine).load(program, segment, tmp_path, 1)
    data = {"x": np.random.default_rng(0).standard_normal((4, 60)).astype(np.float32)}
    (call,), machine = calls(graph.model), accelerator(name)
    wanted = machine.run(machine.compiled(call), data).outputs["y"]
    np.testing.assert_array_equal(session.run(data, {})["y"], wanted)
