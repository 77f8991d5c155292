"""Ops measured one by one: equal ones once, as the engine runs them, and their sum is the network's time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from shoal.compress import FLOAT, Budget, Costs, compress, layers_of, measured, mixed, opened
from shoal.compress._probes import kernel_of, units_of, write
from shoal.compress.techniques.rtn import Rtn
from shoal.errors import InputError
from shoal.graph import Graph, load, save
from shoal.measure import Timed, Timing, time_files
from tests.compress import nets
from tests.graph.models import floats, info, model, node
from tests.graph.models import write as write_model


def blocks(side: int = 32, channels: int = 32) -> onnx.ModelProto:
    """Equal residual blocks of convolutions, each with its activation function."""
    weights = {"w": floats(channels, 3, 3, 3) / 5}
    nodes = [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "a0")]
    for number in range(3):
        weights[f"u{number}"] = floats(channels, channels, 3, 3, seed=number) / 17
        weights[f"v{number}"] = floats(channels, channels, 1, 1, seed=number) / 6
        nodes += [
            node("Conv", f"a{number} u{number}", f"b{number}", pads=[1, 1, 1, 1]),
            node("Relu", f"b{number}", f"r{number}"),
            node("Conv", f"r{number} v{number}", f"d{number}"),
            node("Add", f"d{number} a{number}", f"a{number + 1}"),
        ]
    nodes += [node("GlobalAveragePool", "a3", "p"), node("Flatten", "p", "y")]
    return model(nodes, [info("x", (1, 3, side, side))], ["y"], weights, 21)


def kinds(path: Path, folder: Path) -> list[str]:
    """The ops that onnxruntime runs, those that change layouts left out."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = [each.op_type for each in onnx.load(folder / "optimised.onnx", load_external_data=False).graph.node]
    return [kind for kind in found if kind not in ("Transpose", "ReorderInput", "ReorderOutput")]


def opened_net(proto: onnx.ModelProto, folder: Path) -> Graph:
    return opened(write_model(proto, folder))


def test_equal_layers_share_a_signature(tmp_path: Path) -> None:
    units, rest = units_of(opened_net(blocks(), tmp_path), "")
    assert [unit.ops for unit in units[:3]] == [("c", "a0"), ("b0", "r0"), ("d0",)]
    assert len({unit.signature for unit in units}) == 3
    assert rest is not None
    assert set(rest.ops) == {"a1", "a2", "a3", "p", "y"}
    coded, _ = units_of(opened_net(blocks(), tmp_path), "int8")
    assert not {unit.signature for unit in coded} & {unit.signature for unit in units}


@pytest.mark.parametrize(
    ("layer", "activations", "name", "expected"),
    [
        ("b0", "", FLOAT, {"Conv", "FusedConv"}),
        ("b0", "int8", "int8", {"QLinearConv"}),
        ("c", "int8", "int8", {"QuantizeLinear", "QLinearConv"}),
        ("m", "", "int4g16", {"MatMulNBits"}),
        ("m", "", "int8", {"MatMulNBits"}),
        ("m", "", FLOAT, {"MatMul"}),
        ("y", "", "int8", {"MatMulNBits"}),
    ],
)
def test_an_op_is_run_as_in_the_network(
    layer: str, activations: str, name: str, expected: set[str], tmp_path: Path
) -> None:
    graph = opened_net(blocks() if layer in ("b0", "c") else nets.mixed(), tmp_path)
    unit = next(unit for unit in units_of(graph, activations)[0] if unit.ops[0] == layer)
    copies = write(graph, unit, name, tmp_path / "probe.onnx", graph.weights_bytes)
    found = kinds(tmp_path / "probe.onnx", tmp_path)
    assert copies >= 2
    assert expected & set(found)
    assert len(found) % copies == 0
    assert set(found) <= expected | {"Relu", "Add", "Sub", "FusedMatMul"}


def test_formats_that_run_alike_are_measured_once(tmp_path: Path) -> None:
    matrix = next(each for each in layers_of(opened_net(nets.mixed(), tmp_path)) if each.op == "m")
    assert kernel_of(matrix, "int2") == kernel_of(matrix, "int4") != kernel_of(matrix, "int8")
    assert kernel_of(matrix, "int5") == kernel_of(matrix, "int8")
    assert kernel_of(matrix, "mxfp4") == kernel_of(matrix, FLOAT)
    assert kernel_of(matrix, "int4g16") != kernel_of(matrix, "int4")


@pytest.fixture(scope="module")
def blocks_costs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, Costs]:
    graph = opened_net(blocks(), tmp_path_factory.mktemp("blocks"))
    return graph, measured(graph, ("int4", "int8"), "int8", power_w=4.0, repeats=3, most_s=0.02)


def test_the_table_of_a_network(blocks_costs: tuple[Graph, Costs]) -> None:
    graph, costs = blocks_costs
    layers = layers_of(graph)
    assert set(costs.signatures) == {layer.op for layer in layers}
    for layer in layers:
        for name in (FLOAT, "int4", "int8"):
            cost = costs.of(layer.op, name)
            assert cost.time_s > 0
            assert cost.energy_j == pytest.approx(4 * cost.time_s)
            assert cost.repeats >= 3
    assert costs.of("b0", FLOAT).bytes == 4 * 32 * 32 * 9
    assert costs.of("b0", "int8").bytes == 32 * 32 * 9 + 32 * 2
    assert costs.of("b1", "int8") == costs.of("b2", "int8")
    every = {layer.op: "int8" for layer in layers}
    own = sum(costs.of(op, "int8").time_s for op in every)
    assert costs.latency_s(every) == pytest.approx(own + costs.rest.time_s)
    assert costs.rest.time_s > 0
    with pytest.raises(InputError, match="was not measured"):
        costs.of("b0", "int3")


@pytest.mark.parametrize("name", ["latency_s", "energy_j"])
def test_a_budget_is_that_of_the_whole_network(name: str, blocks_costs: tuple[Graph, Costs]) -> None:
    graph, costs = blocks_costs
    known = (FLOAT, "int4", "int8")
    fastest = {op: min(known, key=lambda each, op=op: costs.of(op, each).time_s) for op in costs.signatures}  # type: ignore[misc]
    whole = costs.latency_s if name == "latency_s" else costs.energy_j
    most = 1.2 * whole(fastest)
    found = mixed(graph, (), known, budget=Budget(**{name: most}), costs=costs, sensitivity="qsnr")
    assert whole(found) <= most * (1 + 1e-6)


def test_products_on_packed_codes_are_measured_in_their_engine(tmp_path: Path) -> None:
    graph = opened_net(nets.mlp(), tmp_path)
    costs = measured(graph, ("int2g32", "hlq2g64"), engine="native", repeats=3, most_s=0.02)
    for op in costs.signatures:
        assert len({costs.of(op, name).time_s for name in (FLOAT, "int2g32", "hlq2g64")}) == 3


@pytest.mark.serial
def test_the_sum_is_the_time_of_the_whole(tmp_path: Path) -> None:
    """In float32 and in eight bits; the network has few small ops."""
    graph = opened_net(blocks(56, 64), tmp_path)
    given = [{"x": floats(1, 3, 56, 56, seed=seed)} for seed in range(2)]
    costs = measured(graph, ("int8",), "int8")
    every = {layer.op: "int8" for layer in layers_of(graph)}
    save(compress(graph, [Rtn("int8")], given, activations="int8").model, tmp_path / "coded.onnx")
    (whole,) = time_files(Timing((Timed(str(tmp_path / "coded.onnx")),), repeats=40, most_s=1.0)).spreads
    assert costs.latency_s(every) == pytest.approx(whole.median_s, rel=0.3)


def test_a_probe_computes_what_its_op_does(tmp_path: Path) -> None:
    """Both copies, in float32."""
    graph = opened_net(blocks(), tmp_path)
    unit = next(unit for unit in units_of(graph, "")[0] if unit.ops[0] == "b1")
    copies = write(graph, unit, FLOAT, tmp_path / "probe.onnx", 0)
    assert copies == 1
    x = floats(1, 32, 32, 32, seed=5)
    session = onnxruntime.InferenceSession(str(tmp_path / "probe.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    weights = np.asarray(load(tmp_path / "small.onnx").model.graph.initializers["u1"].const_value.numpy())  # type: ignore[union-attr]
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    at = np.einsum("oihw,ihw->o", weights, padded[:, 4:7, 9:12])
    np.testing.assert_allclose(found[0, :, 4, 9], np.maximum(at, 0), atol=1e-4)
