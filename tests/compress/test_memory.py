"""Networks larger than the memory that the process may have: coded, judged and written all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from shoal.compress import opened
from shoal.compress.stretches import answers, stretches
from shoal.graph import load, save, shelved
from tests.compress import nets
from tests.graph.models import write

WIDTH, DEPTH = 512, 144
ALLOWED = 120 << 20  # bytes that the process may have besides what it has once all is imported

CHILD = """
import json, resource, sys
from pathlib import Path
import numpy as np
from shoal.compress import compress, opened
from shoal.compress.techniques.{module} import {name}
from shoal.graph import save

def coded(path, places, width, to):
    source = np.random.default_rng(1)
    samples = [{{"x": source.standard_normal((places, width)).astype(np.float32)}} for _ in range(2)]
    found = compress(opened(path), [{name}("int4g32")], samples)
    save(found.model, to)
    return found

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData"))

large, small, folder, width, allowed = sys.argv[1:]
coded(Path(small), 3, 64, Path(folder) / "first.onnx")
limit = held() + int(allowed)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
found = coded(Path(large), 128, int(width), Path(folder) / "coded.onnx")
try:
    np.ones(found.weights_bytes, np.uint8)
    whole = True
except MemoryError:
    whole = False
print(json.dumps([len(found.layers), found.weights_bytes, found.output_error["y"], whole]))
"""


def deep(folder: Path) -> Path:
    """Products with their weights in a file of their own, drawn one after another."""
    source, weights = np.random.default_rng(0), []
    with (folder / "deep.data").open("wb") as file:
        for number in range(DEPTH):
            tensor = TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=(WIDTH, WIDTH))
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", "deep.data"), ("offset", file.tell()), ("length", 4 * WIDTH**2)):
                tensor.external_data.add(key=key, value=str(value))
            (source.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5).astype(np.float32).tofile(file)
            weights.append(tensor)
    names = ["x", *(f"a{number}" for number in range(DEPTH - 1)), "y"]
    nodes = [
        helper.make_node("MatMul", [names[number], f"w{number}"], [names[number + 1]]) for number in range(DEPTH)
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (128, WIDTH)) for name in ("x", "y")]
    inner = helper.make_graph(nodes, "deep", ends[:1], ends[1:], weights)
    model = helper.make_model(inner, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = folder / "deep.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.slow
def test_a_network_larger_than_the_memory_is_coded(tmp_path: Path) -> None:
    """Its weights at once would not fit: the limit is that of the system, and holding them is refused."""
    large, small = deep(tmp_path), write(nets.mlp(opset=21), tmp_path)
    child = CHILD.format(module="rtn", name="Rtn")
    words = [str(each) for each in (large, small, tmp_path, WIDTH, ALLOWED)]
    done = subprocess.run([sys.executable, "-c", child, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    layers, size, error, whole = json.loads(done.stdout)
    assert (layers, size) == (DEPTH, 4 * WIDTH * WIDTH * DEPTH)
    assert size > ALLOWED
    assert not whole
    assert 0 < error < 2  # of so many layers in a row, each off by a tenth
    assert load(tmp_path / "coded.onnx").packed


@pytest.mark.parametrize("most_bytes", [0, 40_000, 1 << 30])
def test_a_model_in_stretches_answers_as_the_whole(most_bytes: int, tmp_path: Path) -> None:
    for proto in (nets.mlp(depth=5), nets.mixed()):
        graph, given = opened(write(proto, tmp_path)), nets.samples(proto, 3)
        expected = nets.answers(tmp_path / "small.onnx", given)
        found = answers(graph.model, graph.outputs, given, most_bytes=most_bytes)
        np.testing.assert_allclose([each[graph.outputs[0]] for each in found], expected, atol=1e-5)


def test_a_stretch_is_as_long_as_its_weights_allow(tmp_path: Path) -> None:
    graph = opened(write(nets.mlp(64, 6, relu=False), tmp_path))
    one = 4 * 64 * 64
    assert [len(each) for each in stretches(graph.model, 2 * one)] == [2, 2, 2]
    assert [len(each) for each in stretches(graph.model, 1)] == [1] * 6
    assert [len(each) for each in stretches(graph.model, 6 * one)] == [6]


def test_codes_are_decoded_in_the_stretch_that_reads_them(tmp_path: Path) -> None:
    from shoal.compress import compress
    from shoal.compress.techniques.rtn import Rtn

    found = compress(opened(write(nets.mlp(depth=4), tmp_path)), [Rtn("hlq2g32")])
    kinds = [[node.op_type for node in each] for each in stretches(found.model, 1)]
    assert sum(each.count("Decode") for each in kinds) == 4
    assert all(each[0] == "Decode" or "Decode" not in each for each in kinds)
    save(found.model, tmp_path / "smaller.onnx")
    given = nets.samples(nets.mlp(depth=4), 2)
    expected = nets.answers(tmp_path / "smaller.onnx", given)
    parts = answers(found.model, ["a3"], given, most_bytes=1)
    np.testing.assert_allclose([each["a3"] for each in parts], expected, atol=1e-5)


def test_a_shelved_array_is_the_same(tmp_path: Path) -> None:
    for array in (np.arange(1 << 18, dtype=np.float32).reshape(512, 512).T, np.zeros((3, 0), np.int8)):
        kept = shelved(array)
        np.testing.assert_array_equal(kept, array)
        assert (kept.dtype, kept.shape) == (array.dtype, array.shape)
    assert not shelved(np.ones(1 << 20, np.uint8)).flags.writeable
