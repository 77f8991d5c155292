"""Small models of every age of ONNX, however their weights are kept, divided over two units."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from shoal.graph import load
from shoal.run import Samples, Settings, execute
from tests.run import plans

OPSETS = (7, 9, 11, 13, 15, 17, 19, 21, 22)
KEPT = ("initializers", "also inputs", "external", "constants", "ConstantOfShape")
WEIGHTS = ("kernel", "scale", "shift", "dense", "bias")


def weights(seed: int = 0) -> Iterator[onnx.TensorProto]:
    source = np.random.default_rng(seed)
    shapes = ((4, 3, 3, 3), (1, 4, 1, 1), (1, 4, 1, 1), (64, 5), (5,))
    for name, shape in zip(WEIGHTS, shapes, strict=True):
        yield numpy_helper.from_array((source.standard_normal(shape) / 4).astype(np.float32), name)


def nodes(opset: int) -> list[onnx.NodeProto]:
    """Two inputs, a branch that joins again, three outputs; operators whose form changed over the opsets."""
    body = [
        helper.make_node("Conv", ["image", "kernel"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["conv", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["shifted"]),
        helper.make_node("Relu", ["shifted"], ["left"]),
        helper.make_node("Sigmoid", ["scaled"], ["right"]),
        helper.make_node("Concat", ["left", "right"], ["both"], axis=1),
        helper.make_node("MaxPool", ["both"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    if opset >= 13:  # axes became an input
        body.append(helper.make_node("ReduceSum", ["pooled", "axes"], ["channels"], keepdims=0))
        body.append(helper.make_node("Unsqueeze", ["channels", "axes"], ["wide"]))
    else:
        body.append(helper.make_node("ReduceSum", ["pooled"], ["channels"], axes=[1], keepdims=0))
        body.append(helper.make_node("Unsqueeze", ["channels"], ["wide"], axes=[1]))
    if opset >= 11:  # minimum and maximum became inputs
        body.append(helper.make_node("Clip", ["wide", "low", "high"], ["clipped"]))
    else:
        body.append(helper.make_node("Clip", ["wide"], ["clipped"], min=-1.0, max=4.0))
    return [
        *body,
        helper.make_node("Flatten", ["clipped"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "dense", "bias"], ["scores"]),
        helper.make_node("Add", ["scores", "offset"], ["moved"]),
        helper.make_node("Softmax", ["moved"], ["chances"], axis=1),
        helper.make_node("ArgMax", ["moved"], ["best"], axis=1, keepdims=0),
    ]


def constants(opset: int) -> list[onnx.TensorProto]:
    found = []
    if opset >= 13:
        found.append(numpy_helper.from_array(np.array([1], np.int64), "axes"))
    if opset >= 11:
        found += [numpy_helper.from_array(np.float32(value), name) for name, value in (("low", -1), ("high", 4))]
    return found


def model(opset: int, kept: str, path: Path) -> Path:
    """Write the model with its weights kept in one of the ways `KEPT`."""
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 16, 16)),
        helper.make_tensor_value_info("offset", TensorProto.FLOAT, (1, 5)),
    ]
    outputs = [
        helper.make_tensor_value_info("chances", TensorProto.FLOAT, (1, 5)),
        helper.make_tensor_value_info("best", TensorProto.INT64, (1,)),
        helper.make_tensor_value_info("left", TensorProto.FLOAT, (1, 4, 16, 16)),
    ]
    stored, body = list(weights()), nodes(opset)
    fixed = constants(opset)
    if kept == "constants":
        body = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in stored] + body
        stored = []
    if kept == "ConstantOfShape":
        body = [*_made(stored), *body]
        fixed += [numpy_helper.from_array(np.array(each.dims, np.int64), f"{each.name}.shape") for each in stored]
        stored = []
    if kept == "also inputs":
        inputs += [helper.make_tensor_value_info(each.name, TensorProto.FLOAT, each.dims) for each in stored]
    graph = helper.make_graph(body, "small", inputs, outputs, stored + fixed)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made)
    external = {"save_as_external_data": True, "location": "w.bin", "size_threshold": 100}
    onnx.save(made, path, **(external if kept == "external" else {}))
    return path


def _made(tensors: list[onnx.TensorProto]) -> Iterator[onnx.NodeProto]:
    for number, tensor in enumerate(tensors, start=1):
        value = numpy_helper.from_array(np.array([number / 50], np.float32))
        yield helper.make_node("ConstantOfShape", [f"{tensor.name}.shape"], [tensor.name], value=value)


def inputs() -> tuple[dict[str, np.ndarray], ...]:
    source = np.random.default_rng(5)
    shapes = {"image": (1, 3, 16, 16), "offset": (1, 5)}
    return tuple(
        {name: source.standard_normal(shape, np.float32) for name, shape in shapes.items()} for _ in range(3)
    )


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("opset", OPSETS)
def test_divided_answers_like_the_file(opset: int, kept: str, tmp_path: Path) -> None:
    if kept == "ConstantOfShape" and opset < 9:
        pytest.skip("ConstantOfShape came with opset 9")
    path = model(opset, kept, tmp_path / "model.onnx")
    graph = load(path)
    samples = Samples(inputs(), tuple(plans.reference(path, each) for each in inputs()))
    assert graph.inputs == ("image", "offset")
    for owners in (plans.contiguous(graph, 2), plans.crossing(graph, 2)):
        result = execute(plans.plan_of(graph, owners), Settings(items=9, over="memory"), samples)
        assert result.failure == ""
        assert result.run.outputs_match
        assert result.answers is not None
        for item, outputs in result.answers.items():
            plans.assert_equal(outputs, samples.expected[item % 3])


@pytest.mark.parametrize("kept", KEPT)
def test_the_same_between_processes(kept: str, tmp_path: Path) -> None:
    graph = load(model(17, kept, tmp_path / "model.onnx"))
    result = execute(plans.plan_of(graph, plans.alternating(graph, 2)), Settings(items=12, over="shm"))
    assert result.failure == ""
    assert result.run.outputs_match


def test_scalars_and_other_types_travel(tmp_path: Path) -> None:
    """A scalar stays a scalar; truth values and integers come back exactly."""
    path = tmp_path / "types.onnx"
    body = [
        helper.make_node("Mul", ["values", "by"], ["scaled"]),
        helper.make_node("Less", ["scaled", "by"], ["below"]),
        helper.make_node("Not", ["below"], ["above"]),
        helper.make_node("Cast", ["above"], ["small"], to=TensorProto.INT8),
        helper.make_node("ReduceMax", ["scaled"], ["top"], keepdims=0),
        helper.make_node("Add", ["top", "by"], ["more"]),
    ]
    given = [helper.make_tensor_value_info("values", TensorProto.FLOAT, (7,))]
    given.append(helper.make_tensor_value_info("by", TensorProto.FLOAT, ()))
    wanted = [helper.make_tensor_value_info("above", TensorProto.BOOL, (7,))]
    wanted.append(helper.make_tensor_value_info("small", TensorProto.INT8, (7,)))
    wanted.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ()))
    graph = helper.make_graph(body, "types", given, wanted)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    loaded = load(path)
    item = {"values": np.arange(7, dtype=np.float32), "by": np.array(3, np.float32)}
    samples = Samples((item,), (plans.reference(path, item),))
    for over in ("memory", "shm", "tcp"):
        result = execute(plans.plan_of(loaded, plans.alternating(loaded, 2)), Settings(4, over), samples)
        assert result.failure == ""
        assert result.answers is not None
        plans.assert_equal(result.answers[3], samples.expected[0])
    drawn = execute(plans.plan_of(loaded, plans.contiguous(loaded, 2)), Settings(4, "memory"))
    assert drawn.run.outputs_match
