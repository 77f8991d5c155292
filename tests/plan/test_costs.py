from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.cost.models.roofline import Roofline
from shoal.fleet import load as load_fleet
from shoal.plan import ModelRef, Wishes, search
from shoal.plan.costs import costs_of
from tests.plan.toys import light_graph

FLEET = """
[devices.pi]
board = "raspberry-pi-4b-4gb"
[devices.here]
board = "this-machine"
cores = [0]

[default_link]
bandwidth = "1 Gbit/s"
latency = "0.3 ms"
"""


@pytest.fixture
def fleet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET)
    return path


def test_without_measuring_they_are_the_data_sheets(fleet_file: Path) -> None:
    graph, fleet = light_graph("squeezenet"), load_fleet(fleet_file)
    costs, sheet = costs_of(graph, fleet, measure=False), Roofline().over(graph, fleet, ())
    for unit in fleet.unit_names:
        np.testing.assert_array_equal(costs.op_seconds(unit, "onnxruntime"), sheet.op_seconds(unit, "onnxruntime"))


def test_what_is_measured_is_kept_and_planned_with(fleet_file: Path) -> None:
    graph, fleet = light_graph("squeezenet"), load_fleet(fleet_file)
    measured = costs_of(graph, fleet)
    kept = costs_of(graph, fleet, measure=False)
    for unit in fleet.unit_names:
        np.testing.assert_array_equal(
            kept.op_seconds(unit, "onnxruntime"), measured.op_seconds(unit, "onnxruntime")
        )
    sheet = Roofline().over(graph, fleet, ()).op_seconds("here/cpu", "onnxruntime")
    assert not np.array_equal(measured.op_seconds("here/cpu", "onnxruntime"), sheet)
    plan = search(graph, ModelRef("squeezenet", graph.source, graph.sha256), fleet, measured, Wishes()).plan
    assert "here/cpu" in plan.units
    assert any(estimate.provenance == "measured" for estimate in plan.estimates.values())
