from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest

from shoal.errors import InputError, PlanError
from shoal.graph import Graph, boundary, extract, load, pieces, save, seeded
from tests.graph.models import floats, info, light, model, node, write


def run(path: Path, feeds: dict[str, npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.float32]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options)
    names = [output.name for output in session.get_outputs()]
    assert {entry.name for entry in session.get_inputs()} == set(feeds)
    return dict(zip(names, session.run(names, feeds), strict=True))


def run_parts(graph: Graph, groups: dict[str, str], folder: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Every tensor there is after running the pieces one after another, each from its own files."""
    there = {name: floats(*graph.tensors[name].shape) for name in graph.inputs}
    for index, piece in enumerate(pieces(graph, groups)):
        path = folder / f"{index}.onnx"
        save(extract(graph, piece.ops), path)
        made = run(path, {name: there[name] for name in piece.inputs})
        assert tuple(made) == piece.outputs
        there.update(made)
    return there


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
@pytest.mark.parametrize("owners", ["halves", "interleaved"])
def test_parts_answer_like_the_whole(name: str, owners: str, tmp_path: Path) -> None:
    graph = seeded(load(light(name)), 1)
    half = len(graph.ops) // 2
    groups = {
        op.name: str(index < half if owners == "halves" else index // 9 % 2) for index, op in enumerate(graph.ops)
    }
    there = run_parts(graph, groups, tmp_path)
    save(graph, tmp_path / "whole.onnx")
    whole = run(tmp_path / "whole.onnx", {name: there[name] for name in graph.inputs})
    for output, wanted in whole.items():
        assert wanted.std() > 0
        np.testing.assert_allclose(there[output], wanted, atol=1e-5 * float(np.abs(wanted).max()))


def test_only_its_weights_typed_ends_same_opset() -> None:
    graph = load(light("squeezenet"))
    names = [op.name for op in graph.ops[3:9]]
    part = extract(graph, names)
    weights = {weight for op in graph.ops[3:9] for weight in op.weights}
    assert set(part.graph.initializers) == weights
    inputs, outputs = boundary(graph, names)
    assert tuple(value.name for value in part.graph.inputs) == inputs
    assert tuple(value.name for value in part.graph.outputs) == outputs
    for value in (*part.graph.inputs, *part.graph.outputs):
        assert value.shape is not None
        assert value.name is not None
        assert tuple(value.shape.numpy()) == graph.tensors[value.name].shape
    assert part.opset_imports == graph.model.opset_imports
    assert part.ir_version >= 4
    assert len(graph.model.graph) == len(graph.ops)  # the whole is as it was


def test_outputs_nobody_reads_keep_their_place(tmp_path: Path) -> None:
    nodes = [node("Split", "x", "left right", axis=0), node("Relu", "right", "y")]
    graph = load(write(model(nodes, [info("x", [4])], ["y", "x"], opset=11), tmp_path))
    save(extract(graph, ["right"]), tmp_path / "part.onnx")
    assert list(onnx.load(tmp_path / "part.onnx").graph.node[0].output) == ["left", "right"]
    (made,) = run(tmp_path / "part.onnx", {"x": floats(4)}).values()
    np.testing.assert_array_equal(made, floats(4)[2:])


def test_unknown_or_no_ops() -> None:
    graph = load(light("squeezenet"))
    with pytest.raises(PlanError, match="no op 'nonsense'"):
        extract(graph, ["nonsense"])
    with pytest.raises(PlanError, match="no ops given"):
        extract(graph, [])


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_saving_is_deterministic_and_page_aligned(tmp_path: Path) -> None:
    graph = seeded(load(light("squeezenet")), 3)
    save(graph, tmp_path / "one" / "part.onnx")
    save(seeded(load(light("squeezenet")), 3), tmp_path / "two" / "part.onnx")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert set(digests(tmp_path / "one")) == {"part.onnx", "part.weights"}
    proto = onnx.load(tmp_path / "one" / "part.onnx", load_external_data=False)
    for tensor in proto.graph.initializer:
        external = {entry.key: entry.value for entry in tensor.external_data}
        size = 4 * int(np.prod(tensor.dims))
        assert bool(external) == (size >= 1024)
        assert int(external.get("offset", 0)) % 4096 == 0
        assert external.get("location", "part.weights") == "part.weights"


def test_inline_needs_no_second_file(tmp_path: Path) -> None:
    proto = model([node("MatMul", "x w", "y")], [info("x", [3, 64])], ["y"], {"w": floats(64, 32)})
    onnx.save(proto, tmp_path / "a.onnx", save_as_external_data=True, location="a.data", size_threshold=0)
    (tmp_path / "out").mkdir()
    save(load(tmp_path / "a.onnx"), tmp_path / "out" / "b.onnx", external=False)
    assert list(digests(tmp_path / "out")) == ["b.onnx"]
    (made,) = run(tmp_path / "out" / "b.onnx", {"x": floats(3, 64)}).values()
    np.testing.assert_allclose(made, floats(3, 64) @ floats(64, 32), rtol=1e-4, atol=1e-5)


def test_weights_that_someone_reads_can_be_written(tmp_path: Path) -> None:
    save(seeded(load(light("squeezenet")), 1), tmp_path / "one.onnx", external=False)
    outside = {"save_as_external_data": True, "location": "first.weights", "size_threshold": 0}
    onnx.save(onnx.load(tmp_path / "one.onnx"), tmp_path / "first.onnx", **outside)
    graph = load(tmp_path / "first.onnx")
    held = [graph.model.graph.initializers[name].const_value.numpy() for name in graph.weights]
    assert any(array.nbytes < 1024 for array in held)
    save(graph, tmp_path / "second.onnx")
    again = load(tmp_path / "second.onnx")
    for name, array in zip(graph.weights, held, strict=True):
        np.testing.assert_array_equal(again.model.graph.initializers[name].const_value.numpy(), array)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        save(load(light("squeezenet")), tmp_path / "file" / "part.onnx")


def test_weights_are_written_one_at_a_time(tmp_path: Path) -> None:
    """AlexNet's weights are 244 MB, its largest 151; memory grows by the largest only."""
    graph = load(light("bvlc_alexnet"))
    tracemalloc.start()
    save(graph, tmp_path / "big.onnx")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * max(weight.bytes for weight in graph.weights.values())
