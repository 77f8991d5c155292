"""A plan with a machine that is not here: tensors go through it, the simulator goes by it, nothing else changes the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from shoal import fleet
from shoal.fleet import Fleet
from shoal.graph import Graph, load
from shoal.plan import ModelRef, Objective, Plan, Wishes, search
from shoal.plan.costs import costs_of
from shoal.run.execute import Settings, execute
from shoal.run.simulated import simulated

FLEET = """
[devices.board]
board = "raspberry-pi-4b-4gb"

[devices.array]
memory = "1 GiB"
idle = "0.2 W"

[devices.array.units.array]
cores = 1
bandwidth = "12.8 GB/s"
busy = "1 W"
peak = { int8 = "1.6 Top/s" }
engines = ["simulated:machine=systolic+rows=16"]

[default_link]
bandwidth = "1 GB/s"
latency = "20 us"
"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """Three products with activations between them."""
    file = tmp_path_factory.mktemp("model") / "layers.onnx"
    source, made = np.random.default_rng(3), []
    before = ir.Value(name="x", shape=ir.Shape((32, 64)), type=ir.TensorType(ir.DataType.FLOAT))
    first, nodes = before, []
    for at in range(3):
        values = (source.standard_normal((64, 64)) / 8).astype(np.float32)
        made.append(ir.Value(name=f"w{at}", shape=ir.Shape((64, 64)), type=ir.TensorType(ir.DataType.FLOAT),
                             const_value=ir.tensor(values, name=f"w{at}")))  # fmt: skip
        nodes += [product := ir.node("MatMul", [before, made[-1]]), relu := ir.node("Relu", product.outputs)]
        for node, name in ((product, f"m{at}"), (relu, f"r{at}")):
            out = node.outputs[0]
            out.name, out.shape, out.type = name, ir.Shape((32, 64)), ir.TensorType(ir.DataType.FLOAT)
        before = relu.outputs[0]
    whole = ir.Graph([first], [before], nodes=nodes, initializers=made, opset_imports={"": 17}, name="layers")
    ir.save(ir.Model(whole, ir_version=10), file)
    return load(file)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    file = tmp_path_factory.mktemp("fleet") / "fleet.toml"
    file.write_text(FLEET, encoding="utf-8")
    return fleet.load(file)


@pytest.fixture
def plan(graph: Graph, place: Fleet) -> Plan:
    """The machine has no unit for Relu; a pin sends it a product all the same."""
    wishes = Wishes(pins={"m1": "array"})
    model = ModelRef(graph.name, graph.source, graph.sha256)
    return search(graph, model, place, costs_of(graph, place, measure=False), wishes).plan


def test_only_what_the_machine_has_a_unit_for_goes_there(plan: Plan) -> None:
    assert plan.machines
    assert {op for op, unit in plan.owners.items() if unit == "array/array"} == set(plan.machines)
    assert "m1" in plan.machines
    assert not {"r0", "r1", "r2"} & set(plan.machines)


def test_real_workers_carry_tensors_through_the_machine(plan: Plan) -> None:
    run = execute(plan, Settings(items=3, over="shm")).run
    assert run.outputs_match
    assert run.max_abs_difference == 0
    assert any("array/array is simulated" in note for note in run.notes)


def test_the_simulator_takes_the_machines_time_and_energy(plan: Plan) -> None:
    run = simulated(plan, 8)
    segments = [name for name, unit in plan.segment_units.items() if unit == "array/array"]
    assert all(plan.estimates[name].provenance == "simulated" for name in segments)
    taken_s = sum(plan.estimates[name].seconds for name in segments)
    assert run.devices["array"].busy_s == pytest.approx(8 * taken_s, rel=0.01)
    taken_j = sum(plan.estimates[name].joules for name in segments)
    devices = tuple(replace(device, idle_w=0.0, link_j_per_byte=0.0) for device in plan.fleet.devices)
    dynamic = simulated(replace(plan, fleet=replace(plan.fleet, devices=devices)), 8)
    assert dynamic.devices["array"].energy_j == pytest.approx(8 * taken_j, rel=0.01)


@pytest.mark.parametrize("planner", ["chain_dp", "anneal", "ilp"])
def test_watts_that_a_description_gives_a_simulated_unit_choose_nothing(
    graph: Graph, place: Fleet, planner: str, tmp_path: Path
) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET.replace('busy = "1 W"', 'busy = "1 kW"'), encoding="utf-8")
    model, plans = ModelRef(graph.name, graph.source, graph.sha256), []
    for each in (place, fleet.load(file)):
        wishes = Wishes(objective=Objective(("energy",)), planner=planner)
        plans.append(search(graph, model, each, costs_of(graph, each, measure=False), wishes).plan)
    assert plans[0].owners == plans[1].owners
    assert plans[0].prediction.energy_j == plans[1].prediction.energy_j


def test_what_a_machine_draws_for_being_on_is_its_devices_idle_power(plan: Plan) -> None:
    estimates = [plan.estimates[name] for name, unit in plan.segment_units.items() if unit == "array/array"]
    assert estimates
    for estimate in estimates:
        parts = {name: figure for name, figure in estimate.breakdown.items() if name.endswith("_j")}
        assert parts["static_j"] > 0
        assert estimate.joules == pytest.approx(sum(parts.values()) - parts["static_j"])
