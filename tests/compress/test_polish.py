"""Inputs of products in few values: their levels, the same ops in ONNX, and networks that read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from shoal.compress import compress, layers_of, opened
from shoal.compress.calibrate import Calibration
from shoal.compress.inputs import Inputs
from shoal.compress.levels import Curve, Steps, curve, lost, steps
from shoal.compress.techniques.compensate import Compensate
from shoal.compress.techniques.polish import Polish
from shoal.compress.techniques.rtn import Rtn
from shoal.errors import InputError
from shoal.graph import Graph, load, save
from tests.compress import nets
from tests.graph.models import floats, info, model, node, write

Values = NDArray[np.float32]


def long_tailed(places: int = 4000, channels: int = 6, seed: int = 0) -> Values:
    """Channels of different sizes, each with values far from its usual ones."""
    source = np.random.default_rng(seed)
    values = source.standard_t(2, (places, channels)) * np.geomspace(0.01, 10, channels)
    return values.astype(np.float32)


def ends(values: Values) -> tuple[Values, Values]:
    return values.min(axis=0), values.max(axis=0)


def test_equal_steps_by_hand() -> None:
    found = Steps(0.5, 2, 2).rounded(np.array([-9, -1, -0.6, 0.2, 0.3, 9], np.float32))
    np.testing.assert_array_equal(found, [-1, -1, -0.5, 0, 0.5, 0.5])


def test_a_curve_by_hand() -> None:
    """φ = sign·ln(1 + |x|) in steps of ln 2 from the code 1 on: −1, 0, 1, 3 over a table up to 127."""
    found = Curve(np.ones(1, np.float32), float(np.log(2)), 1, 2, -1)
    np.testing.assert_array_equal(found.table, np.rint(np.array([-1, 0, 1, 3]) * 127 / 3))
    rounded = found.rounded(np.array([[-5.0], [-0.3], [0.9], [2.0], [70.0]], np.float32))
    np.testing.assert_allclose(rounded[:, 0], np.array([-42, 0, 42, 127, 127]) * 3 / 127, rtol=1e-6)


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_a_curve_loses_less_where_tails_are_long_and_equal_steps_where_there_are_none(bits: int) -> None:
    tails, even = long_tailed(), np.random.default_rng(1).uniform(0, 1, (4000, 6)).astype(np.float32)
    for values, better in ((tails, Curve), (even, Steps)):
        plain = steps(values, (float(values.min()), float(values.max())), bits, narrow=True)
        bent = curve(values, ends(values), bits, -1)
        assert isinstance(min((plain, bent), key=lambda each: lost(each, values)), better)


def test_there_are_no_more_values_than_bits_allow() -> None:
    values = long_tailed()
    for made in (steps(values, (-100, 100), 4, narrow=True), curve(values, ends(values), 4, -1)):
        left = made.rounded(values)
        assert max(len(np.unique(left[:, channel])) for channel in range(6)) <= 16
        np.testing.assert_array_equal(made.rounded(np.zeros((1, 6), np.float32)), 0)


def test_channels_that_are_zero_do_no_harm() -> None:
    values = long_tailed()
    values[:, 2] = 0
    made = curve(values, ends(values), 4, -1)
    assert np.isfinite(made.rounded(values)).all()
    assert (made.rounded(values)[:, 2] == 0).all()
    nothing = Polish().rounding([np.zeros((1, 3, 4, 4), np.float32)], -3, False)
    np.testing.assert_array_equal(nothing.rounded(np.zeros((1, 3, 4, 4), np.float32)), 0)


@pytest.mark.parametrize("grid", ["equal", "log"])
@pytest.mark.parametrize("bits", [4, 8])
def test_the_ops_of_onnx_do_the_same(grid: str, bits: int, tmp_path: Path) -> None:
    values = long_tailed(4 * 25, 6).reshape(4, 5, 5, 6).transpose(0, 3, 1, 2)
    rounding = replace(Polish(bits), grid=grid).rounding([values], -3, False)
    graph = load(write(model([node("Relu", "x", "y")], [info("x", values.shape)], ["y"], opset=21), tmp_path))
    made = graph.model.clone()
    given = made.graph.inputs[0]
    added = list(rounding.nodes(made, given))
    made.graph.insert_before(made.graph[0], added)
    made.graph[-1].replace_input_with(0, added[-1].outputs[0])
    save(made, tmp_path / "levels.onnx")
    onnx.checker.check_model(str(tmp_path / "levels.onnx"))
    session = ort.InferenceSession(str(tmp_path / "levels.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": values})
    np.testing.assert_allclose(found, np.maximum(rounding.rounded(values), 0), rtol=1e-5, atol=1e-6)


def loud() -> onnx.ModelProto:
    """A sum that products and other ops read, its channels uneven, behind a convolution."""
    uneven = np.exp(np.linspace(-3, 3, 12)).astype(np.float32)[:, None, None, None]
    weights = {
        "w1": floats(12, 3, 3, 3, seed=1) * uneven, "w2": floats(12, 12, 3, 3, seed=2) / 10,
        "w3": floats(8, 12, 1, 1, seed=3) / uneven[:, 0, 0, 0][None, :, None, None], "w4": floats(8, 5, seed=4),
    }  # fmt: skip
    nodes = [
        node("Conv", "x w1", "c1", pads=[1, 1, 1, 1]), node("Relu", "c1", "r1"),
        node("Conv", "r1 w2", "c2", pads=[1, 1, 1, 1]), node("Add", "c2 r1", "s"),
        node("Conv", "s w3", "c3"), node("GlobalAveragePool", "c3", "p"), node("Flatten", "p", "f"),
        node("MatMul", "f w4", "y"),
    ]  # fmt: skip
    return model(nodes, [info("x", (1, 3, 12, 12))], ["y"], weights, 21)


def opened_loud(folder: Path) -> tuple[Graph, list[nets.Arrays], list[nets.Arrays]]:
    proto = loud()
    return opened(write(proto, folder)), nets.samples(proto, 12), nets.samples(proto, 8, seed=1)


def error(graph: Graph, found: object, folder: Path, given: list[nets.Arrays]) -> float:
    save(graph, folder / "plain.onnx")
    save(found.model, folder / "coded.onnx")  # type: ignore[attr-defined]
    plain, coded = (nets.answers(folder / f"{name}.onnx", given) for name in ("plain", "coded"))
    return float(np.linalg.norm(coded - plain) / np.linalg.norm(plain))


def test_polishing_helps_where_channels_are_uneven(tmp_path: Path) -> None:
    graph, samples, fresh = opened_loud(tmp_path)
    plain, polished = (
        error(graph, compress(graph, [polish, Rtn("int8")], samples), tmp_path, fresh)
        for polish in (Polish(grid="equal", narrow=False), Polish())
    )
    assert polished < 0.7 * plain


def test_only_products_read_what_is_rounded(tmp_path: Path) -> None:
    graph, samples, _ = opened_loud(tmp_path)
    found = compress(graph, [Polish(), Rtn("int4")], samples).model
    sums = next(each for each in found.graph if each.op_type == "Add" and each.outputs[0].name == "s")
    assert "r1" in {value.name for value in sums.inputs if value is not None}
    assert all(
        value.producer().op_type == "DequantizeLinear"
        for each in found.graph
        if each.op_type in ("Conv", "MatMul")
        for value in each.inputs[:2]
    )


def test_the_exported_model_answers_as_the_walk_did(tmp_path: Path) -> None:
    """The walk rounds in numpy, what is exported by ops of ONNX."""
    graph, samples, _ = opened_loud(tmp_path)
    layers = layers_of(graph)
    inputs = Inputs(graph, layers, Polish())
    walk = Calibration(graph, samples, inputs=inputs)
    for _ in walk.walk(layers):
        pass
    expected = np.stack([each["y"] for each in walk.answers()])
    made = graph.model.clone()
    inputs.insert(made)
    save(made, tmp_path / "rounded.onnx")
    np.testing.assert_allclose(nets.answers(tmp_path / "rounded.onnx", samples), expected, rtol=1e-3, atol=1e-3)


def test_layers_tell_what_they_read(tmp_path: Path) -> None:
    graph, samples, _ = opened_loud(tmp_path)
    notes = [each.note for each in compress(graph, [Polish(4, ends=8, grid="log"), Rtn("int4")], samples).layers]
    assert notes[0] == "reads 8 bits, logarithmic"
    assert notes[1] == "reads 4 bits, logarithmic"


def test_compensation_makes_good_what_polishing_leaves(tmp_path: Path) -> None:
    """On what it was fitted to."""
    graph, samples, _ = opened_loud(tmp_path)
    alone, both = (
        error(graph, compress(graph, [Polish(3), *more, Rtn("int8")], samples, correct=False), tmp_path, samples)
        for more in ([], [Compensate()])
    )
    assert both < 0.9 * alone


def test_wrong_samples_and_options_are_refused(tmp_path: Path) -> None:
    graph, samples, _ = opened_loud(tmp_path)
    flat = [{"x": np.full((1, 3, 12, 12), 0.5, np.float32)}]
    for act, said in (
        (lambda: compress(graph, [Polish(), Rtn()], flat), "the same everywhere"),
        (lambda: compress(graph, [Polish(), Rtn()]), "looks at activations"),
        (lambda: compress(graph, [Polish(), Rtn()], samples, activations="int8"), "in one way only"),
        (lambda: compress(graph, [Polish(), Polish(), Rtn()], samples), "in one way only"),
        (
            lambda: compress(graph, [Compensate(), Polish(), Rtn()], samples),
            "before all that works on single layers",
        ),
        (lambda: Polish(bits=1), "so many bits are not read"),
        (lambda: Polish(ends=9), "so many bits are not read"),
    ):
        with pytest.raises(InputError, match=said):
            act()
