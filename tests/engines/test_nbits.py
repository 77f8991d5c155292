"""Products with coded weights: one op each, the same answers, whatever stands around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from shoal import catalog
from shoal.compress import compress, opened
from shoal.compress.techniques.rtn import Rtn
from shoal.graph import load, save
from tests.compress import nets
from tests.graph.models import write


@pytest.mark.parametrize("name", ["int4g16", "int4ag32", "int4", "int8", "int8a", "int8g32", "int8t", "int3g64"])
def test_every_product_is_joined_and_answers_alike(name: str, tmp_path: Path) -> None:
    proto = nets.mlp(width=192)
    save(compress(opened(write(proto, tmp_path)), [Rtn(name)]).model, tmp_path / "smaller.onnx")
    graph = load(tmp_path / "smaller.onnx")
    ops = [op.name for op in graph.ops]
    given = nets.samples(proto)
    plain = nets.answers(tmp_path / "smaller.onnx", given)
    for accuracy, most in ((1, 1e-5), (4, 0.02)):
        engine = catalog.make("engines", f"onnxruntime:accuracy={accuracy}")
        files = engine.write(graph, ops, tmp_path, f"part{accuracy}")
        kinds = [node.op_type for node in onnx.load(tmp_path / files[0], load_external_data=False).graph.node]
        assert kinds == ["MatMulNBits", "Relu"] * 3
        found = nets.answers(tmp_path / files[0], given)
        assert np.linalg.norm(found - plain) <= most * np.linalg.norm(plain)
    assert any(weight.dtype in ("int4", "uint4", "int8", "uint8") for weight in graph.weights.values())


def test_what_has_no_such_op_stays(tmp_path: Path) -> None:
    """Groups of eight columns, which the op does not take, and convolutions."""
    for proto, name, kinds in (
        (nets.mlp(), "int4g8", {"DequantizeLinear", "MatMul", "Relu"}),
        (nets.mixed(), "int8", None),
    ):
        save(compress(opened(write(proto, tmp_path)), [Rtn(name)]).model, tmp_path / "smaller.onnx")
        graph = load(tmp_path / "smaller.onnx")
        engine = catalog.make("engines", "onnxruntime:accuracy=1")
        (file, *_) = engine.write(graph, [op.name for op in graph.ops], tmp_path, "part")
        found = {node.op_type for node in onnx.load(tmp_path / file, load_external_data=False).graph.node}
        assert kinds is None or found == kinds
        assert (kinds is None) == ("MatMulNBits" in found)
        given = nets.samples(proto)
        plain = nets.answers(tmp_path / "smaller.onnx", given)
        np.testing.assert_allclose(nets.answers(tmp_path / file, given), plain, atol=1e-4 * np.abs(plain).max())


@pytest.mark.parametrize(("name", "joined"), [("int8", False), ("int8g32", True), ("int4g32", True)])
def test_what_the_model_rounds_is_not_rounded_again(name: str, joined: bool, tmp_path: Path) -> None:
    """Codes of a whole row are left to onnxruntime's own product; others read the decoded values as they are."""
    proto = nets.mlp(width=192)
    given = nets.samples(proto)
    found = compress(opened(write(proto, tmp_path)), [Rtn(name)], samples=given, activations="int8-inputs")
    save(found.model, tmp_path / "smaller.onnx")
    graph = load(tmp_path / "smaller.onnx")
    engine = catalog.make("engines", "onnxruntime:accuracy=4")
    (file, *_) = engine.write(graph, [op.name for op in graph.ops], tmp_path, "part")
    kinds = {node.op_type for node in onnx.load(tmp_path / file, load_external_data=False).graph.node}
    assert ("MatMulNBits" in kinds) == joined
    whole = ReferenceEvaluator(
        onnx.load(tmp_path / "smaller.onnx")
    )  # onnxruntime 1.31 refuses groups of eight bits here
    plain = np.stack([whole.run(None, each)[0] for each in given])
    np.testing.assert_allclose(nets.answers(tmp_path / file, given), plain, atol=2e-5 * np.abs(plain).max())
