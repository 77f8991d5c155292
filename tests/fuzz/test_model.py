"""ONNX models: damaged bytes, and messages that parse and lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from shoal.graph import Graph, cuts, load, node_names
from shoal.graph.weights import array
from tests.fuzz.conftest import network
from tests.fuzz.mutations import damage, damaged, fuzzed, survives

MODEL = network()
WHOLE = MODEL.SerializeToString()
SMALL_BYTES = 1 << 20
SIZES = (0, -1, 1, 7, 2**20, 2**31 - 1, 2**31, 2**62, -(2**63), 2**63 - 1)
WORDS = ("", "image", "sum", "w0", "r0", "\0", "../../etc/passwd", "/etc/passwd", "x" * 300, "Conv", "If", "Loop", "Constant",
         "Reshape", "Expand", "Tile", "Range", "Pad", "ConstantOfShape", "Dropout", "Identity", "Gather", "LSTM", "MatMul")  # fmt: skip


def _edit(model: onnx.ModelProto, random: Random) -> None:
    """One lie."""
    random.choice(LIES)(model, random)


def _dims(model: onnx.ModelProto, random: Random) -> None:
    tensor = random.choice(model.graph.initializer)
    if tensor.dims and random.random() < 0.7:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(SIZES)
    else:
        tensor.dims.append(random.choice(SIZES))


def _type(model: onnx.ModelProto, random: Random) -> None:
    where = random.choice((*model.graph.initializer, *model.graph.input, *model.graph.output))
    kind = random.choice((*range(30), 2**31 - 1, -1))
    if isinstance(where, TensorProto):
        where.data_type = kind
    else:
        where.type.tensor_type.elem_type = kind


def _shape(model: onnx.ModelProto, random: Random) -> None:
    shape = random.choice((*model.graph.input, *model.graph.output)).type.tensor_type.shape
    if shape.dim and random.random() < 0.3:
        del shape.dim[random.randrange(len(shape.dim))]
    elif shape.dim and random.random() < 0.7:
        dim = random.choice(shape.dim)
        dim.dim_value = random.choice(SIZES)
        if random.random() < 0.3:
            dim.dim_param = random.choice(WORDS)
    else:
        shape.dim.add().dim_value = random.choice(SIZES)


def _wiring(model: onnx.ModelProto, random: Random) -> None:
    node = random.choice(model.graph.node)
    names = random.choice((node.input, node.output))
    word = random.choice((*WORDS, *(name for other in model.graph.node for name in (*other.input, *other.output))))
    if names and random.random() < 0.6:
        names[random.randrange(len(names))] = word
    elif names and random.random() < 0.3:
        del names[random.randrange(len(names))]
    else:
        names.append(word)


def _node(model: onnx.ModelProto, random: Random) -> None:
    node = random.choice(model.graph.node)
    match random.randrange(5):
        case 0:
            node.op_type = random.choice(WORDS)
        case 1:
            node.domain = random.choice(("", "ai.onnx.ml", "com.example"))
        case 2:
            model.graph.node.remove(node)
        case 3:
            model.graph.node.add().CopyFrom(node)
        case _:
            model.graph.node.insert(0, model.graph.node.pop())


def _attribute(model: onnx.ModelProto, random: Random) -> None:
    node = random.choice(model.graph.node)
    kinds: tuple[Callable[[], object], ...] = (
        lambda: random.choice(SIZES),
        lambda: [random.choice(SIZES) for _ in range(random.randrange(1, 5))],
        lambda: random.choice((0.5, float("nan"), float("inf"))),
        lambda: random.choice(WORDS),
        lambda: numpy_helper.from_array(np.ones(2, np.int64)),
    )
    name = random.choice(
        ("pads", "strides", "dilations", "group", "kernel_shape", "auto_pad", "value", "axis", "perm")
    )
    node.attribute.append(helper.make_attribute(name, random.choice(kinds)()))


def _sub_graph(model: onnx.ModelProto, random: Random) -> None:
    """A branch or a loop whose graph is the graph itself."""
    node = random.choice(model.graph.node)
    node.op_type = random.choice(("If", "Loop", "Scan", node.op_type))
    inner = onnx.GraphProto()
    inner.CopyFrom(model.graph)
    names = random.choice((("then_branch", "else_branch"), ("body",)))
    node.attribute.extend(helper.make_attribute(name, inner) for name in names)


def _external(model: onnx.ModelProto, random: Random) -> None:
    tensor = random.choice(model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    places = (
        "weights.bin",
        "../small.onnx",
        "/etc/passwd",
        "",
        ".",
        "small.onnx",
        "missing",
        "a/../../b",
        "\0",
        "fifo",
    )
    for key, values in (("location", places), ("offset", SIZES), ("length", SIZES), ("checksum", WORDS)):
        if random.random() < 0.7:
            tensor.external_data.add(key=key, value=str(random.choice(values)))
    if random.random() < 0.2:
        tensor.external_data.add(key=random.choice(WORDS), value=random.choice(WORDS))


def _opset(model: onnx.ModelProto, random: Random) -> None:
    match random.randrange(4):
        case 0 if model.opset_import:
            model.opset_import[0].version = random.choice(SIZES)
        case 1:
            model.ir_version = random.choice(SIZES)
        case 2:
            model.opset_import.add(domain=random.choice(("", "ai.onnx.ml", "x")), version=random.choice((1, 2**40)))
        case _:
            del model.opset_import[:]


def _constant(model: onnx.ModelProto, random: Random) -> None:
    """A shape that is worked out: a small file that asks for a large tensor."""
    sizes = next((each for each in model.graph.initializer if each.name == "sizes"), None)
    if sizes is not None:
        values = np.asarray([random.choice(SIZES) for _ in range(random.randrange(0, 6))], np.int64)
        sizes.CopyFrom(numpy_helper.from_array(values, "sizes"))
    kind = random.choice(("ConstantOfShape", "Expand", "Tile", "Range", "Reshape", "OneHot", "EyeLike", "Pad"))
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            node.op_type = kind
            if kind in ("Expand", "Tile", "Reshape", "Pad"):
                node.input.insert(0, "w0")
            elif kind == "Range":
                node.input.extend(("sizes", "sizes"))


def _lists(model: onnx.ModelProto, random: Random) -> None:
    graph = model.graph
    found = random.choice((graph.initializer, graph.input, graph.output, graph.value_info))
    if found and random.random() < 0.5:
        del found[random.randrange(len(found))]
    elif found:
        found.add().CopyFrom(random.choice(found))
    else:
        graph.value_info.append(
            helper.make_tensor_value_info("r0", random.choice((1, 7, 8)), [random.choice(SIZES)])
        )


def _kinds(model: onnx.ModelProto, random: Random) -> None:
    value = random.choice((*model.graph.input, *model.graph.output))
    value.type.Clear()
    match random.randrange(4):
        case 0:
            value.type.sequence_type.elem_type.tensor_type.elem_type = 1
        case 1:
            value.type.optional_type.elem_type.tensor_type.elem_type = 1
        case 2:
            value.type.map_type.key_type = 7
        case _:
            return


def _function(model: onnx.ModelProto, random: Random) -> None:
    function = model.functions.add(name="Conv", domain=random.choice(("", "local")))
    function.input.extend(("a", "b"))
    function.output.append("c")
    function.node.add(
        op_type=random.choice(("Conv", "Add")), input=["a", "b"], output=["c"], domain=function.domain
    )
    function.opset_import.add(domain="", version=17)
    if random.random() < 0.7:
        model.graph.node[0].domain = function.domain
        model.opset_import.add(domain="local", version=1)


LIES = (_dims, _type, _shape, _wiring, _wiring, _node, _attribute, _sub_graph, _external, _opset, _constant, _lists, _kinds,
        _function)  # fmt: skip


def lying(seed: int) -> bytes:
    random = Random(seed)
    model = onnx.ModelProto()
    model.CopyFrom(MODEL)
    for _ in range(random.randint(1, 3)):
        if model.graph.node and model.graph.initializer and model.graph.input and model.graph.output:
            _edit(model, random)
    data: bytes = model.SerializeToString()
    return damage(data, random, 1) if random.random() < 0.1 else data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models are written, with a file of weights beside them, and one outside."""
    found = tmp_path_factory.mktemp("models") / "inner"
    found.mkdir()
    (found / "weights.bin").write_bytes(bytes(4096))
    (found.parent / "small.onnx").write_bytes(WHOLE)
    os.mkfifo(found / "fifo")
    return found


def _used(graph: Graph) -> int:
    assert graph.identity
    for name, weight in graph.weights.items():
        if weight.bytes <= SMALL_BYTES:
            assert array(graph, name).nbytes == weight.bytes
    return len(cuts(graph)) + graph.macs + graph.weights_bytes


def _loads_or_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    survives(lambda: node_names(path), "model.onnx")
    graph = survives(lambda: load(path), "model.onnx")
    if graph is not None:
        survives(lambda: _used(graph))


@given(damaged(WHOLE))
@fuzzed(150)
def test_a_damaged_model_is_refused_in_words_or_loaded(folder: Path, data: bytes) -> None:
    _loads_or_is_refused(folder / "model.onnx", data)


@given(st.integers(0, 2**64 - 1).map(lying))
@fuzzed(250)
def test_a_lying_model_is_refused_in_words_or_loaded(folder: Path, data: bytes) -> None:
    _loads_or_is_refused(folder / "model.onnx", data)
