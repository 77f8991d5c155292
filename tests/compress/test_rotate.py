"""Networks on rotated operands: the same answers, each input turned once, outliers spread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from shoal.compress import compress, layers_of, opened, rotated, turning
from shoal.compress.layers import weights_of
from shoal.compress.techniques.gptq import Gptq
from shoal.compress.techniques.rotate import Rotate
from shoal.compress.techniques.rtn import Rtn
from shoal.errors import InputError
from shoal.formats.composers import rotate
from shoal.graph import Graph, load, save
from tests.compress import nets
from tests.graph.models import floats, info, model, node, write


def products(graph: Graph) -> list:  # type: ignore[type-arg]
    return [layer for layer in layers_of(graph) if layer.kind != "Conv"]


def turned(proto: onnx.ModelProto, folder: Path, block: int = 0) -> tuple[Graph, Graph]:
    graph = load(write(proto, folder))
    return graph, rotated(graph, products(graph), block, seed=3)


@pytest.mark.parametrize("block", [0, 4, 16])
@pytest.mark.parametrize("name", ["mixed", "mlp"])
def test_answers_stay_what_they_were(name: str, block: int, tmp_path: Path) -> None:
    proto = getattr(nets, name)()
    graph, found = turned(proto, tmp_path, block)
    save(found, tmp_path / "turned.onnx")
    given = nets.samples(proto)
    plain, other = (nets.answers(tmp_path / each, given) for each in ("small.onnx", "turned.onnx"))
    assert np.abs(other - plain).max() <= 1e-5 * np.abs(plain).max()
    assert (found.inputs, found.outputs) == (graph.inputs, graph.outputs)
    onnx.checker.check_model(str(tmp_path / "turned.onnx"), full_check=True)


def test_weights_are_those_of_the_composed_format(tmp_path: Path) -> None:
    graph, found = turned(nets.mlp(), tmp_path, 16)
    own = [layer for layer in products(found) if layer.op not in turning(found)]
    assert len(turning(found)) == len(own) == 3
    for before, after in zip(products(graph), own, strict=True):
        np.testing.assert_array_equal(weights_of(found, after), rotate.rotated(weights_of(graph, before), 16, 3))


def test_an_input_is_turned_once_for_all_its_readers(tmp_path: Path) -> None:
    weights = {"q": floats(32, 32, seed=1), "k": floats(32, 8, seed=2)}
    nodes = [node("MatMul", "x q", "a"), node("MatMul", "x k", "b"), node("Relu", "x", "c")]
    _, found = turned(model(nodes, [info("x", (2, 5, 32))], ["a", "b", "c"], weights), tmp_path, 8)
    kinds = [op.kind for op in found.ops]
    assert kinds.count("Reshape") == 2
    assert kinds.count("MatMul") == 3
    relu = next(op for op in found.ops if op.kind == "Relu")
    assert relu.inputs == ("x",)


def test_one_block_of_all_columns_is_one_product(tmp_path: Path) -> None:
    _, found = turned(nets.mlp(relu=False), tmp_path)
    assert [op.kind for op in found.ops] == ["MatMul"] * 6


def test_outliers_are_spread(tmp_path: Path) -> None:
    """A large column of W in blocks of 16: the crest factor falls from about 4 to that of normal values."""
    graph = load(write(nets.mlp(), tmp_path))
    weights = weights_of(graph, products(graph)[0])
    weights[:, 3] *= 100
    for matrix, limits in ((weights, (3.5, 4.0)), (rotate.rotated(weights, 16), (1.0, 1.2))):
        blocks = matrix[:, :16]
        crest = np.abs(blocks).max(axis=1) / np.sqrt((blocks**2).mean(axis=1))
        assert limits[0] < crest.mean() <= limits[1]


def test_the_matrix_is_orthogonal_and_even_in_all_its_values() -> None:
    for block in (1, 2, 16, 64):
        matrix = rotate.turn(block, 5)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(block), atol=1e-6)
        np.testing.assert_allclose(np.abs(matrix), block**-0.5, rtol=1e-6)
    whole = rotate.rotated(np.eye(48, dtype=np.float32), 16, 5)
    np.testing.assert_array_equal(whole, np.kron(np.eye(3, dtype=np.float32), rotate.turn(16, 5)))


def test_what_cannot_be_rotated(tmp_path: Path) -> None:
    graph = load(write(nets.mixed(), tmp_path))
    with pytest.raises(InputError, match="a convolution cannot be rotated"):
        rotated(graph, layers_of(graph))
    for block, said in ((12, "no Hadamard matrix"), (128, "do not divide")):
        with pytest.raises(InputError, match=said):
            rotated(graph, products(graph), block)


def test_a_rotated_network_is_coded_but_for_what_turns_it(tmp_path: Path) -> None:
    """With a large column in every matrix, four bits lose much less."""
    proto = nets.mlp(depth=2)
    for tensor in proto.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor).copy()
        values[5] *= 50
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    graph, found = turned(proto, tmp_path, 16)
    given = [{"x": each["x"]} for each in nets.samples(proto)]
    plain = compress(graph, [Rtn("nvint4")], given)
    other = compress(found, [Rtn("nvint4")], given, skip=turning(found))
    assert len(other.layers) == len(plain.layers) == 2
    for one, two in zip(plain.layers, other.layers, strict=True):
        assert two.weight_qsnr_db > one.weight_qsnr_db


def test_rotate_comes_before_what_codes(tmp_path: Path) -> None:
    """With gptq on the turned layers; what turns is not coded."""
    proto = nets.mixed()
    graph = opened(write(proto, tmp_path), folder=tmp_path)
    given = nets.samples(proto)
    found = compress(graph, [Rotate(16), Gptq("int4g16")], given, skip=[each.op for each in layers_of(graph)[:3]])
    assert len(found.layers) == 3
    save(found.model, tmp_path / "smaller.onnx")
    plain, other = (nets.answers(tmp_path / each, given) for each in ("small.onnx", "smaller.onnx"))
    assert np.linalg.norm(other - plain) < 0.2 * np.linalg.norm(plain)
    with pytest.raises(InputError, match="rotate works on the whole network"):
        compress(graph, [Rtn("int8"), Rotate(16)], given)
    with pytest.raises(InputError, match="no layer to rotate"):
        compress(graph, [Rotate(512), Rtn("int8")], given)
