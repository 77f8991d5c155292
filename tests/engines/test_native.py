"""Compressed models on their codes: answers beside the reference's, what stays packed, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.compress import compress, opened
from shoal.compress.techniques.rtn import Rtn
from shoal.engines import _stage_files
from shoal.engines._stages import Product, products, staged
from shoal.engines.native import Native
from shoal.errors import InputError, ModelError
from shoal.formats import make, quantise
from shoal.graph import access, load, save
from shoal.graph.load import read
from shoal.kernels.lowbit import lowbit_paths
from shoal.kernels.ready import ready
from shoal.program import Program, Segment, TensorSpec
from tests.compress import nets
from tests.graph.models import floats, info, model, node, write

RUN_ON_CODES = (
    "int8g32",
    "int4",
    "int4g32",
    "int4ag64",
    "int3g64",
    "int2g64",
    "tern3x5",
    "tern5x8",
    "bing64",
    "hlq2g64",
)
DECODED = ("e2m1g16", "mxfp4", "nvint4")


def coded(name: str, folder: Path, proto: object = None) -> Path:
    graph = opened(write(proto or nets.mlp(), folder))
    save(compress(graph, [Rtn(name)]).model, folder / "coded.onnx")
    return folder / "coded.onnx"


def answered(path: Path, engine: str, x: np.ndarray, folder: Path, threads: int = 1) -> np.ndarray:
    graph = load(path)
    made = catalog.make("engines", engine)
    files = made.write(graph, [op.name for op in graph.ops], folder, "s")
    tensors = {name: TensorSpec(each.dtype, each.shape) for name, each in graph.tensors.items()}
    program = Program("test", ("a/cpu",), (), (), (), 1, tensors)
    name = engine.partition(":")[0]
    segment = Segment("s", "a/cpu", graph.inputs, graph.outputs, name, files=files)
    session = made.load(program, segment, folder, threads)
    (given,), (wanted,) = graph.inputs, graph.outputs
    first = session.run({given: x}, {})[wanted]
    into = {wanted: np.empty_like(first)}
    again = session.run({given: x}, into)[wanted]
    assert again is into[wanted]
    np.testing.assert_array_equal(first, again)
    return first


@pytest.mark.parametrize("name", [*RUN_ON_CODES, *DECODED])
@pytest.mark.parametrize("threads", [1, 2])
def test_answers_are_those_of_the_codes(name: str, threads: int, tmp_path: Path) -> None:
    path, x = coded(name, tmp_path), floats(3, 64, seed=5)
    expected = answered(path, "reference", x, tmp_path / "r")
    found = answered(path, "native", x, tmp_path / "n", threads)
    assert np.linalg.norm(found - expected) < 0.015 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", ["int3g64", "tern2", "hlq2g64", "e2m1g16"])
def test_other_engines_decode(name: str, tmp_path: Path) -> None:
    path, x = coded(name, tmp_path), floats(3, 64, seed=5)
    expected = answered(path, "reference", x, tmp_path / "r")
    found = answered(path, "onnxruntime:accuracy=1", x, tmp_path / "o")
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("path", lowbit_paths())
def test_every_instruction_set(path: str, tmp_path: Path) -> None:
    file, x = coded("int4g32", tmp_path), floats(3, 64, seed=5)
    best = answered(file, "native", x, tmp_path / "b")
    found = answered(file, f"native:path={path}", x, tmp_path / "p")
    np.testing.assert_allclose(found, best, atol=1e-4 * np.abs(best).max())


@pytest.mark.parametrize("name", RUN_ON_CODES)
def test_weights_stay_packed(name: str, tmp_path: Path) -> None:
    stages = staged(read(coded(name, tmp_path)))
    assert sum(len(each.products) for each in stages) == 3
    held = [
        value for each in stages if each.stretch is not None for value in each.stretch.graph.initializers.values()
    ]
    assert all(value.const_value is not None and value.const_value.size < 64 for value in held)


def test_products_of_one_tensor_share_a_stage(tmp_path: Path) -> None:
    weights = {name: floats(64, 64, seed=seed) for seed, name in enumerate("qkvo")}
    proto = model(
        [node("MatMul", "x q", "a"), node("MatMul", "x k", "b"), node("MatMul", "x v", "c"), node("Add", "a b", "d"),
         node("Mul", "d c", "e"), node("MatMul", "e o", "f"), node("Relu", "f", "y")],
        [info("x", (3, 64))], ["y"], weights, 21,
    )  # fmt: skip
    stages = staged(read(coded("int4g32", tmp_path, proto)))
    assert [[each.output for each in stage.products] for stage in stages] == [["a", "b", "c"], ["f"], []]
    assert [[access.name(value) for value in stage.stretch.graph.inputs] if stage.stretch else None for stage in stages] == [
        None, ["a", "b", "c"], ["f"],
    ]  # fmt: skip
    x = floats(3, 64, seed=9)
    expected = answered(tmp_path / "coded.onnx", "reference", x, tmp_path / "r")
    found = answered(tmp_path / "coded.onnx", "native", x, tmp_path / "n")
    assert np.linalg.norm(found - expected) < 0.015 * np.linalg.norm(expected)


def test_convolutions_are_decoded(tmp_path: Path) -> None:
    path = coded("tern2", tmp_path, nets.mixed())
    x = nets.samples(nets.mixed(), 1)[0]["x"]
    expected = answered(path, "reference", x, tmp_path / "r")
    found = answered(path, "native", x, tmp_path / "n")
    assert np.linalg.norm(found - expected) < 0.015 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("name", "byte", "said"), [("tern5x8", 243, "no five trits"), ("tern3x5", 15, "no three trits")]
)
def test_bytes_that_stand_for_no_weights_are_refused(name: str, byte: int, said: str, tmp_path: Path) -> None:
    path = coded(name, tmp_path)
    answered(path, "native", floats(3, 64), tmp_path / "n")
    codes = tmp_path / "n" / "s.codes"
    data = bytearray(codes.read_bytes())
    data[5] = byte
    codes.write_bytes(data)
    there = {file.name: file for file in (tmp_path / "n").iterdir()}
    with pytest.raises(ModelError, match=said):
        _stage_files.read(there["s.stages.json"], there, "s")


def test_an_unknown_instruction_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no kernels 'sse9'"):
        answered(coded("int4", tmp_path), "native:path=sse9", floats(3, 64), tmp_path / "n")
    assert Native().path == ""


def test_products_of_one_tensor_in_unlike_formats() -> None:
    source, x = np.random.default_rng(0), floats(2, 5, 256, seed=1)
    forms = (make("int4g32"), make("int8g32"), make("int4g64"), make("int4g32"), make("tern5x8"), make("hlq2g64"))
    matrices = [ready(form, quantise(form, source.standard_normal((9, 256)).astype(np.float32))) for form in forms]
    some = [Product("x", f"y{number}", matrix) for number, matrix in enumerate(matrices) if matrix is not None]
    found = products(some, {"x": x}, "", 1)
    assert list(found) == [f"y{number}" for number in range(6)]
    for each in some:
        assert found[each.output].shape == (2, 5, 9)
        np.testing.assert_array_equal(found[each.output].reshape(10, 9), each.weights.product(x.reshape(10, 256)))
