"""The op shoal.Decode: what was packed comes out, in our hands and in onnx's, and damage is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from shoal.errors import ModelError
from shoal.formats import make, quantise
from shoal.graph import access, decode, load, save
from shoal.graph.load import read
from tests.graph.models import floats, info, model, node, write

FORMATS = (
    "int2g16",
    "int3",
    "e2m1g16",
    "mxfp4",
    "nvint4",
    "hlq2g16",
    "tern5x8",
    "bin",
    "pow2",
    "int4g16+outliers:share=0.1",
)


def coded_model(name: str, folder: Path) -> tuple[Path, decode.Packed]:
    """x · W, W of 64 rows and 32 columns in the format."""
    made = load(
        write(model([node("MatMul", "x w", "y")], [info("x", (3, 32))], ["y"], {"w": floats(32, 64)}), folder)
    ).model
    packed = decode.Packed(name, (quantise(make(name), floats(64, 32)),), (32, 64), turned=True)
    product = made.graph[0]
    added = decode.node(made, "w", packed)
    made.graph.insert_before(product, added)
    product.replace_input_with(1, added.outputs[0])
    del made.graph.initializers["w"]
    save(made, folder / "coded.onnx")
    return folder / "coded.onnx", packed


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_packed_comes_out(name: str, tmp_path: Path) -> None:
    path, packed = coded_model(name, tmp_path)
    onnx.checker.check_model(path)
    x = floats(3, 32, seed=1)
    expected = x @ packed.tensor
    ours = ReferenceEvaluator(onnx.load(path), new_ops=[decode.evaluator()]).run(None, {"x": x})[0]
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    save(decode.unpacked(read(path)), tmp_path / "plain.onnx")
    plain = ReferenceEvaluator(onnx.load(tmp_path / "plain.onnx")).run(None, {"x": x})[0]
    np.testing.assert_allclose(plain, expected, atol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_a_graph_counts_the_packed_bytes(name: str, tmp_path: Path) -> None:
    path, _ = coded_model(name, tmp_path)
    graph = load(path)
    assert graph.weights_bytes * 8 == make(name).stored_bits((64, 32))
    assert [op.kind for op in graph.ops] == ["Decode", "MatMul"]
    assert graph.ops[1].macs == 3 * 32 * 64


def test_a_part_for_each_group_of_a_convolution() -> None:
    form = make("tern2")
    parts = tuple(quantise(form, floats(2, 9, seed=seed)) for seed in range(4))
    packed = decode.Packed("tern2", parts, (8, 1, 3, 3))
    empty = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 21}), ir_version=10)
    again = decode.packed_of(decode.node(empty, "w", packed))
    np.testing.assert_array_equal(again.tensor, packed.tensor)
    assert again.tensor.shape == (8, 1, 3, 3)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("format", "int2x", "no number format"),
        ("format", "int3g16", "do not fit"),
        ("part", [64, 31], "does not fit its parts"),
        ("shape", [64, 32], "does not fit its parts"),
        ("part", [1 << 40, 1 << 40], "does not fit"),
        ("part", [64], "make no sense"),
        ("part", [-64, -32], "make no sense"),
    ],
)
def test_damage_is_refused_before_anything_is_made(name: str, value: object, said: str, tmp_path: Path) -> None:
    path, _ = coded_model("int2g16", tmp_path)
    proto = onnx.load(path)
    (each,) = (attribute for attribute in proto.graph.node[0].attribute if attribute.name == name)
    each.CopyFrom(onnx.helper.make_attribute(name, value))
    onnx.save(proto, path)
    with pytest.raises(ModelError, match=said):
        decode.unpacked(read(path)).graph.initializers["w.decoded"].const_value.numpy()  # type: ignore[union-attr]


def test_streams_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    path, _ = coded_model("int2g16", tmp_path)
    made = read(path)
    given = ir.Value(name="given", shape=ir.Shape((1, 512)), type=ir.TensorType(ir.DataType.UINT8))
    made.graph.inputs.append(given)
    first = made.graph[0]
    first.replace_input_with(0, given)
    with pytest.raises(ModelError, match="which is no weight"):
        decode.packed_of(first)
    assert access.name(first.outputs[0]) == "w.decoded"
