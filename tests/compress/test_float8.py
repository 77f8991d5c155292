"""Activations in floating-point numbers: computed in the network exactly as in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.compress import compress, layers_of, opened
from shoal.compress.activations import FLOATS, coded_tensors, ranges
from shoal.compress.float8 import FloatRange, float_range
from shoal.compress.techniques.adaround import Adaround
from shoal.compress.techniques.rtn import Rtn
from shoal.errors import InputError
from shoal.graph import save
from tests.compress import nets
from tests.graph.models import floats, info, model, node, write


def test_the_network_rounds_as_numpy_does(tmp_path: Path) -> None:
    """A product with 127 times the identity, which int8 has exactly, shows what it read."""
    weights = {"w": 127 * np.eye(64, dtype=np.float32)}
    proto = model([node("MatMul", "x w", "y")], [info("x", (8, 64))], ["y"], weights, 21)
    graph = opened(write(proto, tmp_path))
    given = [{"x": np.sinh(3 * floats(8, 64, seed=seed))} for seed in range(4)]
    found = ranges(graph, ["x"], given, kind=FLOATS)["x"]
    assert isinstance(found, FloatRange)
    made = compress(graph, [Rtn("int8t")], given, activations=FLOATS, correct=False)
    save(made.model, tmp_path / "rounded.onnx")
    powers = found.scale * np.exp2(np.arange(-32, 32)).astype(np.float32)
    edges = [{"x": (sign * np.tile(powers, (8, 1))).astype(np.float32)} for sign in (1, -1)]
    answers = nets.answers(tmp_path / "rounded.onnx", [*given, *edges])
    for each, answer in zip([*given, *edges], answers, strict=True):
        np.testing.assert_array_equal(answer, np.float32(127) * found.rounded(each["x"]))
        np.testing.assert_array_equal(found.rounded(found.rounded(each["x"])), found.rounded(each["x"]))


def test_tails_take_exponent_bits() -> None:
    source = np.random.default_rng(0)
    even = float_range(source.uniform(-1, 1, 20_000).astype(np.float32))
    far = float_range(np.sinh(5 * source.standard_normal(20_000)).astype(np.float32))
    assert (even.exponent, even.mantissa) == (2, 5)
    assert far.exponent > even.exponent
    assert float_range(np.zeros(5, np.float32)).rounded(np.zeros(3, np.float32)).tolist() == [0, 0, 0]


def test_only_what_products_read_is_rounded(tmp_path: Path) -> None:
    proto = nets.mixed()
    graph = opened(write(proto, tmp_path))
    layers = layers_of(graph)
    assert coded_tensors(graph, layers, FLOATS) == coded_tensors(graph, layers, "int8-inputs")
    made = compress(graph, [Adaround("fp4", 20)], nets.samples(proto, 16), activations=FLOATS)
    assert {each.format for each in made.layers} == {"fp4"}
    assert max(made.output_error.values()) < 0.5
    eight = compress(graph, [Rtn("fp8")], nets.samples(proto, 16), activations=FLOATS)
    assert max(eight.output_error.values()) < 0.1


def test_samples_are_needed(tmp_path: Path) -> None:
    graph = opened(write(nets.mlp(), tmp_path))
    with pytest.raises(InputError, match="ranges of activations are not known"):
        compress(graph, [Rtn("fp4")], (), activations=FLOATS)
    broken = [{"x": np.full((3, 64), np.inf, np.float32)}]
    with pytest.raises(InputError, match="not finite"):
        compress(graph, [Rtn("fp4")], broken, activations=FLOATS)
