"""Roofs by level against ops counted by hand, and against the flat roofline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from shoal import catalog
from shoal.cost import CostKey
from shoal.cost.models._fused import fused
from shoal.cost.models._products import Product, product_of
from shoal.cost.models._traffic import Tile, efficiency, traffic_of
from shoal.cost.models.levels import Levels
from shoal.cost.models.roofline import Roofline
from shoal.cost.models.table import Table
from shoal.errors import InputError, PlanError
from shoal.fleet import Device, Fleet, Unit
from shoal.graph import Graph, load
from shoal.measure import machine_id, op_subject
from shoal.record import Sample

UNIT = "here/cpu"
OPS = ("h", "r", "y")
RATES = {"gemm": 1e9, "stream": 1e6, "launch": 1e6, "sigmoid": 1e5, "cached:1:100": 8e6, "cached:2:600": 4e6}


def benches(rates: Mapping[str, float], threads: int = 1) -> tuple[Sample, ...]:
    work = 10**9
    return tuple(
        Sample(f"bench:{name}:{work}", machine_id(), "onnxruntime", "float32", threads, *(3 * [work / rate]), 5)
        for name, rate in rates.items()
    )


def this_machine(cores: int = 1) -> Fleet:
    unit = Unit("cpu", cores, {"float32": 1e9, "int8": 4e9}, 1e6, 3.0, ("onnxruntime",))
    return Fleet((Device("here", "this-machine", (unit,), 1 << 30, 1 << 30, 0.0),))


def made(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    shape: tuple[int, ...],
    weights: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
) -> Graph:
    graph = helper.make_graph(
        list(nodes), "made", [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info(name, 1, size) for name, size in outputs.items()],
        [numpy_helper.from_array(np.ones(size, np.float32), name) for name, size in weights.items()],
    )  # fmt: skip
    path = folder / "made.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return load(path)


def test_bytes_of_each_level_by_hand(graph: Graph) -> None:
    """MatMul (1, 8) @ (8, 16), Relu of 16, MatMul @ (16, 4): weights of 512 and 256 bytes."""
    assert catalog.find("cost/models", "levels") is Levels
    found = traffic_of(graph, (100, 600), Tile(2, 8, 4), 1, fuses=True)
    # L1: 8 steps × (1 row × 2 tiles across + 16 columns) × 4 B + 64 B out; Relu 128 B; 16 × (1 × 1 + 4) × 4 + 16
    # L2: h's activations, 96 B, are in L1, Relu's are not; weights, 768 B in all, come round. The operand of one row fits.
    # memory: the weights again, of 600 B of cache
    assert found.bytes.tolist() == [[640, 128, 336], [512, 128, 256], [512, 0, 256]]
    assert found.flop.tolist() == [256, 0, 128]
    assert found.launches.tolist() == [1, 1, 1]  # a Relu behind a MatMul is an op of its own


def test_seconds_are_the_longest_of_all_roofs(graph: Graph) -> None:
    costs = Levels(tile_rows=2, tile_columns=8, lanes=4).over(graph, this_machine(), benches(RATES))
    seconds = [512 / 1e6 + 1e-6, 128 / 4e6 + 1e-6, 256 / 1e6 + 1e-6]
    assert costs.op_seconds(UNIT, "onnxruntime") == pytest.approx(seconds, rel=1e-12)
    whole = costs.estimate(CostKey(OPS, UNIT))
    assert whole.seconds == pytest.approx(sum(seconds), rel=1e-12)
    parts = {name: part for name, part in whole.breakdown.items() if name.endswith("_s") and part}
    assert parts == pytest.approx({"memory_s": 768 / 1e6, "L2_s": 128 / 4e6, "overhead_s": 3e-6})
    assert whole.joules == pytest.approx(3.0 * whole.seconds)
    assert whole.provenance == "predicted"
    quick = costs.estimate(CostKey(("h",), UNIT, format="int8"))
    assert quick.seconds == costs.estimate(CostKey(("h",), UNIT)).seconds  # bound by memory all the same


def test_a_convolution_is_products_by_groups(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["a"], group=2),
        helper.make_node("Conv", ["a", "w"], ["b"], group=8, pads=[1, 1, 1, 1]),
        helper.make_node("MaxPool", ["b"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    graph = made(tmp_path, nodes, (1, 4, 6, 6), {"v": (8, 2, 1, 1), "w": (8, 1, 3, 3)}, {"y": (1, 8, 2, 2)})
    grouped, depthwise, pool = graph.ops
    assert product_of(graph, grouped) == Product(2, 36, 4, 2, 4, 576, 64, 1152)
    apart = product_of(graph, depthwise)
    assert apart == Product(8, 36, 1, 9, 4, 1152, 288, 1152)
    assert product_of(graph, pool) is None
    tile = Tile(6, 8, 4)
    assert apart is not None
    assert efficiency(apart, tile, 1) == 1.0  # eight channels side by side fill two vectors
    assert efficiency(replace(apart, columns=5), tile, 1) == 5 / 8
    found = traffic_of(graph, (1 << 20,), tile, 1, fuses=True)
    # 8 groups × 9 steps × (36 places + 1 weight for each of 6 tiles) × 4 B, and what is written
    assert found.bytes[0].tolist()[1:] == [8 * 9 * (36 + 6) * 4 + 1152, 4 * 32 * (9 + 1)]
    assert not found.bytes[1].any()  # all of it fits into the cache


def test_a_transposed_convolution_counts_as_one_product(tmp_path: Path) -> None:
    nodes = [helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])]
    (op,) = (graph := made(tmp_path, nodes, (1, 4, 3, 3), {"w": (4, 6, 2, 2)}, {"y": (1, 6, 6, 6)})).ops
    assert product_of(graph, op) == Product(1, 36, 6, 4, 4, 144, 384, 864)  # 864 multiply-accumulates, 4 an output


def test_what_follows_a_convolution_is_done_in_registers(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("BatchNormalization", ["a", "s", "s", "s", "s"], ["b"]),
        helper.make_node("Add", ["b", "x"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Relu", ["d"], ["e"]),  # behind an activation nothing is fused
        helper.make_node("Conv", ["e", "w"], ["f"]),
        helper.make_node("Relu", ["f"], ["y"]),  # f is read twice
        helper.make_node("Sigmoid", ["f"], ["z"]),
    ]
    shape = (1, 2, 3, 3)
    graph = made(tmp_path, nodes, shape, {"w": (2, 2, 1, 1), "s": (2,)}, {"y": shape, "z": shape})
    assert fused(graph) == {"b": "a", "c": "b", "d": "c"}
    found = traffic_of(graph, (), Tile(1, 1, 1), 1, fuses=True)
    assert found.launches.tolist() == [1, 0, 0, 0, 1, 1, 1, 1]
    assert found.bytes[0].tolist() == [160, 0, 72, 0, 144, 160, 144, 144]  # the sum reads its other operand
    assert found.functions.tolist() == [0, 0, 0, 0, 0, 0, 0, 18]
    assert traffic_of(graph, (), Tile(1, 1, 1), 1, fuses=False).launches.all()
    costs = Levels(tile_rows=1, tile_columns=1, lanes=1).over(graph, this_machine(), benches(RATES))
    assert costs.estimate(CostKey(("z",), UNIT)).breakdown["functions_s"] == pytest.approx(18 / 1e5)


def test_a_product_larger_than_a_cache_is_read_again() -> None:
    """16 × 16 by 16 × 16 with room for 64 values: tiles of 8 × 8, so two strips of each operand twice."""
    product = Product(1, 16, 16, 16, 4, 1024, 1024, 1024)
    assert product.again_bytes(64 * 4) == 2048
    assert product.again_bytes(255 * 4) == 2048  # tiles of 15 × 15
    assert product.again_bytes(256 * 4) == 0  # one matrix stays, the others pass once
    thin = Product(1, 1, 1000, 1000, 4, 4000, 4_000_000, 4000)
    assert thin.again_bytes(4000) == 0  # a row that stays while the weights pass


def test_vectors_and_threads_that_do_not_divide_evenly_cost() -> None:
    product = Product(1, 13, 17, 8, 4, 1, 1, 1)
    assert efficiency(product, Tile(12, 32, 16), 1) == 17 / 32
    assert efficiency(product, Tile(12, 32, 16), 2) == 17 / 32  # two tiles of rows on two threads
    assert efficiency(product, Tile(12, 32, 16), 4) == 17 / 64
    assert efficiency(product, Tile(4, 32, 1), 3) == 4 / 6


def test_without_caches_it_is_the_flat_roofline(graph: Graph) -> None:
    rates = {name: rate for name, rate in RATES.items() if not name.startswith("cached")}
    costs = Levels(tile_rows=1, tile_columns=1, lanes=1).over(graph, this_machine(), benches(rates))
    flat = Roofline(1.0, 1.0, 1e-6).over(graph, this_machine(), ())
    assert costs.op_seconds(UNIT, "onnxruntime") == pytest.approx(flat.op_seconds(UNIT, "onnxruntime"), rel=1e-12)


def test_of_boards_and_without_benches_the_flat_model_answers(graph: Graph, fleet: Fleet) -> None:
    sheet = Roofline().over(graph, fleet, ())
    there = Levels().over(graph, fleet, benches(RATES))
    assert np.array_equal(there.op_seconds("a/cpu", "onnxruntime"), sheet.op_seconds("a/cpu", "onnxruntime"))
    assert there.estimate(CostKey(OPS, "a/cpu")) == sheet.estimate(CostKey(OPS, "a/cpu"))
    here = Levels().over(graph, this_machine(), benches({"gemm": 1e9}))  # memory is not known
    assert here.estimate(CostKey(OPS, UNIT)) == Roofline().over(graph, this_machine(), ()).estimate(
        CostKey(OPS, UNIT)
    )
    foreign = tuple(replace(sample, machine="another") for sample in benches(RATES))
    assert Levels().over(graph, this_machine(), foreign).estimate(CostKey(OPS, UNIT)).breakdown.get("L1_s") is None


def test_benches_of_the_nearest_threads_count(graph: Graph) -> None:
    quicker = {name: 2 * rate for name, rate in RATES.items()}
    samples = (*benches(RATES, 1), *benches(quicker, 2))
    one, three = (Levels().over(graph, this_machine(cores), samples) for cores in (1, 3))
    assert three.op_seconds(UNIT, "onnxruntime") == pytest.approx(one.op_seconds(UNIT, "onnxruntime") / 2)


def test_a_throttled_machine_is_slower_in_all(graph: Graph) -> None:
    (device,) = this_machine().devices
    slow = Fleet((replace(device, speed=0.5),))
    whole, half = (
        Levels().over(graph, each, benches(RATES)).op_seconds(UNIT, "onnxruntime")
        for each in (this_machine(), slow)
    )
    assert half == pytest.approx(2 * whole)


def test_the_table_falls_back_on_levels_here_and_on_the_sheet_elsewhere(graph: Graph, fleet: Fleet) -> None:
    both = Fleet((*this_machine().devices, *fleet.devices))
    costs = catalog.make("cost/models", "table:fallback=levels")
    known = costs.over(graph, both, benches(RATES))
    levels = Levels().over(graph, both, benches(RATES))
    key = CostKey(OPS, UNIT)
    assert known.estimate(key).seconds == pytest.approx(levels.estimate(key).seconds, rel=1e-12)
    took = Sample(op_subject(graph.identity, "h"), machine_id(), "onnxruntime", "float32", 1, 1e-3, 1e-3, 1e-3, 5)
    samples = (*benches(RATES), took)
    assert costs.over(graph, both, samples).estimate(CostKey(("h",), UNIT)).seconds == 1e-3
    there = CostKey(OPS, "a/cpu")
    plain = Table().over(graph, both, samples).estimate(there)
    assert costs.over(graph, both, samples).estimate(there).seconds == plain.seconds


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # a graph is never changed
@given(name=st.sampled_from(sorted(RATES)), factor=st.floats(1.0, 1e3))
def test_time_never_falls_as_a_rate_falls(graph: Graph, name: str, factor: float) -> None:
    slower = RATES | {name: RATES[name] / factor}
    was, now = (
        Levels().over(graph, this_machine(), benches(rates)).op_seconds(UNIT, "onnxruntime")
        for rates in (RATES, slower)
    )
    assert (now >= was).all()


@given(
    st.tuples(*[st.integers(1, 200)] * 3), st.integers(4, 1 << 16), st.integers(1, 1 << 16), st.integers(1, 8),
    st.integers(1, 32),
)  # fmt: skip
def test_a_larger_cache_never_reads_more(
    sizes: tuple[int, int, int], capacity: int, more: int, threads: int, lanes: int
) -> None:
    rows, columns, depth = sizes
    bytes_of = (4 * rows * depth, 4 * depth * columns, 4 * rows * columns)
    product = Product(1, rows, columns, depth, 4, *bytes_of)
    assert product.again_bytes(capacity) >= 0
    assert product.again_bytes(max(bytes_of)) == 0
    assert 0 < efficiency(product, Tile(12, 32, lanes), threads) <= 1
    assert product.again_bytes(capacity + more) <= product.again_bytes(capacity)


@pytest.mark.parametrize("text", ["lanes=0", "tile_rows=0", "tile_columns=-1", "launch_s=-1", "launch_s=nan"])
def test_bad_options_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a"):
        catalog.make("cost/models", f"levels:{text}")


def test_what_is_not_there_is_refused(graph: Graph) -> None:
    costs = Levels().over(graph, this_machine(), benches(RATES))
    assert np.isinf(costs.op_seconds(UNIT, "ncnn")).all()
    with pytest.raises(PlanError, match="no engine 'ncnn'"):
        costs.estimate(CostKey(OPS, UNIT, "ncnn"))
    with pytest.raises(PlanError, match="no op 'nothing'"):
        costs.estimate(CostKey(("nothing",), UNIT))
