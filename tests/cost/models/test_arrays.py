"""Costs of a unit that is a simulated array: products in their formats on it, all else by the data sheet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.compress import compress, opened
from shoal.compress.techniques.rtn import Rtn
from shoal.cost import CostKey, as_busy
from shoal.errors import PlanError
from shoal.fleet import Fleet, MacArray, loads
from shoal.formats import make
from shoal.graph import Graph, coded_products, load, save, whole_numbers
from shoal.machines.arrays import array_of, pace_of, passed
from tests.compress import nets
from tests.graph.models import write

FLEET = """
    [devices.sim]
    memory = "256 MiB"
    idle = "10 mW"
    [devices.sim.units.array]
    cores = 1
    bandwidth = "6.4 GB/s"
    busy = "100 mW"
    peak = {{ float32 = "2 Gflop/s" }}
    [devices.sim.units.array.macs]
    rows = 16
    columns = 16
    clock = "400 MHz"
    {more}
    [devices.other]
    memory = "1 GiB"
    idle = "1 W"
    [devices.other.units.cpu]
    cores = 1
    bandwidth = "6.4 GB/s"
    busy = "1 W"
    peak = {{ float32 = "2 Gflop/s" }}
    [default_link]
    bandwidth = "1 Gbit/s"
    latency = "1 ms"
"""


def machines(more: str = "") -> Fleet:
    return loads(FLEET.format(more=more))


def coded(name: str, folder: Path) -> Graph:
    found = compress(opened(write(nets.mixed(), folder)), [Rtn(name)])
    save(found.model, folder / f"{name}.onnx")
    return load(folder / f"{name}.onnx")


@pytest.mark.parametrize("name", ["int8", "int4", "tern2"])
def test_products_are_found_with_their_formats(name: str, tmp_path: Path) -> None:
    graph = coded(name, tmp_path)
    found = {each.op: each for each in coded_products(graph)}
    assert len(found) == 6
    assert {each.format for each in found.values()} == {name}
    shapes = [(each.rows, each.columns, each.parts) for each in found.values()]
    assert shapes == [(8, 27, 1), (1, 9, 8), (8, 36, 2), (64, 16, 1), (32, 64, 1), (10, 32, 1)]
    for each in found.values():
        numbers = whole_numbers(graph, each)
        assert numbers is not None
        assert numbers.size == each.weights
        assert set(np.unique(numbers)) <= set(make(name).grid.array)  # type: ignore[attr-defined]


def test_groups_and_zeros_are_part_of_the_name(tmp_path: Path) -> None:
    found = compress(opened(write(nets.mlp(), tmp_path)), [Rtn("int4ag32")])
    save(found.model, tmp_path / "coded.onnx")
    assert [each.format for each in coded_products(load(tmp_path / "coded.onnx"))] == ["int4ag32"] * 3


def test_a_product_takes_what_the_array_takes(tmp_path: Path) -> None:
    graph, fleet = coded("int4", tmp_path), machines()
    costs = catalog.make("cost/models", "arrays:rest=roofline").over(graph, fleet, ())
    seconds = costs.op_seconds("sim/array", "onnxruntime")
    for each in coded_products(graph):
        places = graph.ops[graph.position[each.op]].macs // each.weights
        array = array_of(MacArray(16, 16, 400e6), make("int4"), 6.4e9)
        took = passed(array, "int4", (each.rows, each.columns), each.parts, places)
        assert seconds[graph.position[each.op]] == pytest.approx(took.seconds)
        assert seconds[graph.position[each.decode]] == 0
        alone = costs.estimate(CostKey((each.op,), "sim/array"))
        assert (alone.joules, alone.provenance) == (pytest.approx(took.joules), "simulated")
    whole = costs.estimate(CostKey(tuple(op.name for op in graph.ops), "sim/array"))
    assert whole.seconds == pytest.approx(seconds.sum())
    sheet = catalog.make("cost/models", "roofline").over(graph, fleet, ())
    assert (costs.op_seconds("other/cpu", "onnxruntime") == sheet.op_seconds("other/cpu", "onnxruntime")).all()
    relu = next(op.name for op in graph.ops if op.kind == "Relu")
    assert (
        costs.estimate(CostKey((relu,), "sim/array")).seconds
        == sheet.estimate(CostKey((relu,), "sim/array")).seconds
    )
    assert np.isinf(costs.op_seconds("sim/array", "ncnn")).all()


def test_a_format_without_a_multiplier_is_left_to_the_rest_of_the_unit(tmp_path: Path) -> None:
    graph = coded("e4m3", tmp_path)
    both = (catalog.make("cost/models", name).over(graph, machines(), ()) for name in ("arrays", "roofline"))
    one, other = (each.op_seconds("sim/array", "onnxruntime") for each in both)
    np.testing.assert_array_equal(one, other)


def test_a_unit_without_float32_cannot_run_what_is_not_coded(tmp_path: Path) -> None:
    graph = coded("int8", tmp_path)
    fleet = loads(FLEET.format(more="").replace('float32 = "2 Gflop/s"', 'int8 = "2 Gop/s"', 1))
    costs = catalog.make("cost/models", "arrays").over(graph, fleet, ())
    finite = np.isfinite(costs.op_seconds("sim/array", "onnxruntime"))
    own = {name for each in coded_products(graph) for name in (each.op, each.decode)}
    assert {op.name for op, can in zip(graph.ops, finite, strict=True) if can} == own
    with pytest.raises(PlanError, match="sim/array: cannot compute in float32"):
        costs.estimate(CostKey(tuple(op.name for op in graph.ops), "sim/array"))


def test_a_fixed_array_is_clocked_by_the_weights_it_holds(multiplier: str, tmp_path: Path) -> None:
    graph = coded("pow2", tmp_path)
    costs = catalog.make("cost/models", "arrays:rest=roofline").over(
        graph, machines(f'multiplier = "{multiplier}"'), ()
    )
    seconds = costs.op_seconds("sim/array", "onnxruntime")
    for each in coded_products(graph):
        numbers = whole_numbers(graph, each)
        assert numbers is not None
        array = array_of(MacArray(16, 16, 400e6, multiplier=multiplier), make("pow2"), 6.4e9)
        places = graph.ops[graph.position[each.op]].macs // each.weights
        took = passed(array, "pow2", (each.rows, each.columns), each.parts, places, pace_of(multiplier, numbers))
        assert seconds[graph.position[each.op]] == pytest.approx(took.seconds + array.switch_s)


def test_units_draw_what_their_segments_take(tmp_path: Path) -> None:
    from shoal.plan.lower import program_of
    from shoal.plan.values import Group, Replica

    graph, fleet = coded("int4", tmp_path), machines()
    costs = catalog.make("cost/models", "arrays").over(graph, fleet, ())
    group = Group("sim/array", tuple(op.name for op in graph.ops))
    program = program_of(graph, (Replica((group,)),), 1, "small")
    (segment,) = program.segments
    found = costs.estimate(CostKey(segment.ops, "sim/array"))
    busy = as_busy(fleet, program, {segment.name: found})
    assert busy.unit("sim/array").busy_w == pytest.approx(found.joules / found.seconds)
    assert busy.device("other") == fleet.device("other")
    assert as_busy(fleet, program, {}) == fleet
    assert replace(busy, devices=fleet.devices) == fleet
