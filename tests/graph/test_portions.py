"""Every kind of op in the table, divided along every axis it allows; and what it says where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from shoal.errors import PlanError
from shoal.graph import Graph, Part, Split, divide
from shoal.graph.box import full
from shoal.graph.portions import grain, portions
from shoal.graph.portions._table import RULES
from tests.graph.divided import check, crossing, cut, inside, small
from tests.graph.models import floats, info, model, node

Case = tuple[Sequence[onnx.NodeProto], Mapping[str, Sequence[int]], Mapping[str, Any], int]
X = {"x": [2, 6, 8, 8]}


def one(
    kind: str, inputs: str = "x", shapes: Mapping[str, Sequence[int]] = X, opset: int = 20, **more: Any
) -> Case:
    """One op; arguments that are arrays are weights, the others attributes."""
    weights = {name: value for name, value in more.items() if isinstance(value, np.ndarray)}
    attributes = {name: value for name, value in more.items() if name not in weights}
    return [node(kind, inputs, "y", **attributes)], shapes, weights, opset


def graph_of(case: Case, folder: Path) -> Graph:
    nodes, shapes, weights, opset = case
    return small(folder, nodes, shapes, "y", weights, opset)


SMOOTH = (
    "Abs",
    "Atan",
    "Ceil",
    "Cos",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Neg",
)
SMOOTH += ("Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Tan", "Tanh")
SMOOTH += ("ThresholdedRelu", "Celu", "Mish", "Gelu")
WIDE = {"x": [2, 6, 8, 8], "z": [2, 6, 8, 8]}
EVERYWHERE = {  # ops that may be cut on every axis
    **{kind: one(kind) for kind in SMOOTH},
    **{kind: one(kind, "x z", WIDE) for kind in ("Add", "Max", "Mean", "Min", "Mul", "Sub", "Sum")},
    "Div": one("Div", "x c", c=np.array(3.0, np.float32)),
    "Pow": one("Pow", "x two", two=np.array(2.0, np.float32)),
    "Mod": one("Mod", "x c", c=np.array(3.0, np.float32), fmod=1),
    "Clip": one("Clip", "x - high", high=np.array(0.3, np.float32)),
    "PRelu": one("PRelu", "x slope", slope=floats(6, 1, 1)),
    "Add a channel's figure": one("Add", "x c", c=floats(6, 1, 1)),
    "Add a row's figure": one("Add", "x r", r=floats(1, 1, 8, 1)),
    "Mul by an activation of one element a channel": one("Mul", "x s", {"x": [2, 6, 8, 8], "s": [2, 6, 1, 1]}),
    "Mul, the shorter shape first": one("Mul", "s x", {"x": [2, 6, 8, 8], "s": [8, 1]}),
    "Concat of rows": one("Concat", "x z", {"x": [2, 6, 3, 8], "z": [2, 6, 5, 8]}, axis=-2),
    "Concat of channels": one("Concat", "x z", {"x": [2, 1, 8, 8], "z": [2, 5, 8, 8]}, axis=1),
    "Concat with a weight": one("Concat", "x w", w=floats(2, 6, 8, 3), axis=3),
    "Transpose": one("Transpose", "x", perm=[0, 2, 3, 1]),
    "Transpose backwards": one("Transpose", "x", {"x": [4, 6, 5, 8]}),
    "BatchNormalization": one(
        "BatchNormalization", "x s b m v",
        s=floats(6), b=floats(6, seed=1), m=floats(6, seed=2), v=np.abs(floats(6, seed=3)) + 1,
    ),
    "MaxPool": one("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "LpPool": one("LpPool", opset=17, kernel_shape=[2, 2], strides=[2, 2], p=2),
    "GlobalAveragePool": one("GlobalAveragePool"),
    "GlobalMaxPool": one("GlobalMaxPool"),
    "Conv": one("Conv", "x w b", w=floats(5, 6, 3, 3), b=floats(5), pads=[1, 1, 1, 1]),
    "Conv of 1 dimension": one("Conv", "x w", {"x": [2, 6, 9]}, w=floats(5, 6, 3)),
    "Conv of 3 dimensions": one("Conv", "x w", {"x": [1, 2, 5, 5, 5]}, w=floats(4, 2, 2, 2, 2)),
    "Conv in groups": one("Conv", "x w b", w=floats(9, 2, 3, 3), b=floats(9), group=3),
    "Conv depthwise": one("Conv", "x w b", w=floats(6, 1, 3, 3), b=floats(6), group=6, pads=[1, 1, 1, 1]),
    "Gemm": one("Gemm", "x w b", {"x": [5, 6]}, w=floats(6, 7), b=floats(7), alpha=0.5, beta=2.0),
    "Gemm transposed": one("Gemm", "x w b", {"x": [6, 5]}, w=floats(7, 6), b=floats(5, 1), transA=1, transB=1),
    "Gemm with a scalar": one("Gemm", "x w b", {"x": [5, 6]}, w=floats(6, 7), b=np.array(2.0, np.float32)),
    "Gemm of old": one("Gemm", "x w b", {"x": [5, 6]}, opset=9, w=floats(6, 7), b=floats(5, 7)),
    "MatMul": one("MatMul", "x w", {"x": [3, 5, 6]}, w=floats(6, 7)),
    "MatMul of stacks": one("MatMul", "x z", {"x": [2, 3, 5, 6], "z": [3, 6, 7]}),
    "MatMul of a repeated stack": one("MatMul", "x z", {"x": [4, 1, 5, 6], "z": [1, 3, 6, 7]}),
    "ReduceMean": one("ReduceMean", opset=17, axes=[2, 3], keepdims=1),
    "ReduceMax, its axes dropped": one("ReduceMax", opset=17, axes=[1], keepdims=0),
    "ReduceSum by input": one("ReduceSum", "x axes", axes=np.array([-1]), keepdims=0),
    "Slice": one("Slice", "x s e a", s=np.array([-5]), e=np.array([100]), a=np.array([3])),
    "Slice of two axes": one("Slice", "x s e - t", s=np.array([1, 2]), e=np.array([2, 5]), t=np.array([1, 1])),
    "Slice of old": one("Slice", opset=9, starts=[1, -6], ends=[5, 7], axes=[1, 2]),
    "Einsum": one("Einsum", "x z", {"x": [2, 3, 5, 6], "z": [2, 3, 4, 6]}, equation="bhqd, bhkd -> bhkq"),
    "Einsum with a weight": one("Einsum", "x w", {"x": [2, 5, 6]}, w=floats(3, 6, 4), equation="bqe,hed->bhqd"),
    "Squeeze": one("Squeeze", "x axes", {"x": [4, 1, 6, 5]}, axes=np.array([1])),
    "Unsqueeze": one("Unsqueeze", "x axes", {"x": [4, 6, 5]}, axes=np.array([1, 4])),
}  # fmt: skip


@pytest.mark.parametrize("name", EVERYWHERE)
def test_ops_that_may_be_cut_anywhere(name: str, tmp_path: Path) -> None:
    graph = graph_of(EVERYWHERE[name], tmp_path)
    shape = graph.tensors["y"].shape
    for axis, size in enumerate(shape):
        if size > 1:
            check(graph, [cut(graph, "y", axis, [0, 1, *([size // 2] if size > 3 else []), size])])


PARTLY = {  # op, the axes it may be cut on, and why not on the others
    "Softmax": (one("Softmax", axis=1), {0, 2, 3}, "its sum runs over it"),
    "LogSoftmax": (one("LogSoftmax"), {0, 1, 2}, "its sum runs over it"),
    "Hardmax": (one("Hardmax", axis=-2), {0, 1, 3}, "its sum runs over it"),
    "Softmax of old": (one("Softmax", opset=11, axis=2), {0, 1}, "its sum runs over it"),
    "LayerNormalization": (
        one("LayerNormalization", "x s b", {"x": [2, 4, 6]}, s=floats(6), b=floats(6)), {0, 1}, "normalises over it"),
    "LayerNormalization of two axes": (
        one("LayerNormalization", "x s", s=floats(8, 8), axis=2), {0, 1}, "normalises over it"),
    "LRN": (one("LRN", size=3), {0, 2, 3}, "normalises across channels"),
    "InstanceNormalization": (
        one("InstanceNormalization", "x s b", s=floats(6), b=floats(6)), {0, 1}, "normalises over the picture"),
    "Slice by steps": (
        one("Slice", "x s e a t", **{each: np.array([at]) for each, at in zip("seat", (0, 8, 2, 2), strict=True)}),
        set(), "it takes steps"),
    "Einsum of unnamed axes": (
        one("Einsum", "x z", {"x": [2, 4, 5], "z": [2, 5, 3]}, equation="...ij,...jk->...ik"), set(), "unnamed"),
    "MatMul with a vector": (one("MatMul", "x v", {"x": [5, 6]}, v=floats(6)), set(), "a product with a vector"),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTLY)
def test_ops_that_need_the_whole_of_an_axis(name: str, tmp_path: Path) -> None:
    case, free, limit = PARTLY[name]
    graph = graph_of(case, tmp_path)
    for axis, size in enumerate(graph.tensors["y"].shape):
        split = cut(graph, "y", axis, [0, 1, size])
        if axis in free:
            check(graph, [split])
            continue
        with pytest.raises(PlanError) as caught:
            divide(graph, (split,))
        assert f"op 'y' ({graph.ops[0].kind}) cannot be divided so: " in caught.value.what
        assert limit in caught.value.what
        assert caught.value.hint == "run it whole on one unit"


def test_group_normalization_is_cut_between_items_only() -> None:
    """ONNX infers no shape for it, so no model with it is loaded as it comes; the rule is asked by itself."""
    made = node("GroupNormalization", "x s b", "y", num_groups=2)
    proto = model([made], [info("x", X["x"])], ["y"], {"s": floats(6), "b": floats(6)}, opset=21)
    proto.graph.output[0].CopyFrom(info("y", X["x"]))
    (op,) = ir.serde.deserialize_model(proto).graph
    (portion,) = portions(op, ((0, 1), (0, 6), (0, 8), (0, 8)))
    assert portion.reads == (((0, 1), (0, 6), (0, 8), (0, 8)), ((0, 6),), ((0, 6),))
    with pytest.raises(PlanError, match="normalises over channels and picture"):
        portions(op, ((0, 2), (0, 3), (0, 8), (0, 8)))


def test_the_tables_here_name_every_rule() -> None:
    """Kinds whose rule has a case; the rest share the rule of one that has, and differ in arithmetic only."""
    tried = {case[0][0].op_type for case in (*EVERYWHERE.values(), *(case for case, *_ in PARTLY.values()))}
    tried |= {"AveragePool", "Reshape", "Flatten", "GroupNormalization"}  # below, and in test_halo
    rules = {RULES[kind] for kind in tried}
    assert rules == set(RULES.values())
    assert {kind for kind in RULES if kind not in tried} <= {
        *(
            "Acos",
            "And",
            "Asin",
            "Cast",
            "Equal",
            "Greater",
            "Identity",
            "Less",
            "Log",
            "Not",
            "Or",
            "Sqrt",
            "Swish",
        ),
        *("Where", "Xor", "RMSNormalization"),
        *(kind for kind in RULES if kind.startswith("Reduce")),
    }


@pytest.mark.parametrize(
    ("bounds", "nodes"),
    [([0, 3, 6, 9], 3), ([0, 2, 9], 3), ([0, 1, 2, 9], 4), ([0, 4, 5, 9], 5), ([0, 3, 9], 2)],
)
def test_groups_are_kept_whole_where_they_can_be(tmp_path: Path, bounds: list[int], nodes: int) -> None:
    """Three groups of three: a part has whole groups in one node, and pieces of groups in nodes of their own."""
    graph = graph_of(EVERYWHERE["Conv in groups"], tmp_path)
    made = check(graph, [cut(graph, "y", 1, bounds)])
    assert [op.kind for op in made.graph.ops].count("Conv") == nodes
    assert made.graph.macs == graph.macs


INNER = {
    "Conv": one("Conv", "x w b", w=floats(5, 6, 3, 3), b=floats(5), pads=[1, 1, 1, 1]),
    "Conv in groups": one("Conv", "x w b", {"x": [1, 12, 6, 6]}, w=floats(4, 6, 3, 3), b=floats(4), group=2),
    "Gemm": one("Gemm", "x w b", {"x": [5, 6]}, w=floats(6, 7), b=floats(7), alpha=0.5, beta=2.0),
    "Gemm transposed": one("Gemm", "x w b", {"x": [6, 5]}, w=floats(7, 6), b=floats(7), transA=1, transB=1),
    "Gemm of old": one("Gemm", "x w b", {"x": [5, 6]}, opset=9, w=floats(6, 7), b=floats(7)),
    "MatMul": one("MatMul", "x w", {"x": [3, 5, 6]}, w=floats(6, 7)),
    "MatMul of stacks": one("MatMul", "x z", {"x": [2, 3, 5, 6], "z": [3, 6, 7]}),
}


@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("bounds", [[0, 3, 6], [0, 1, 2, 6]])
def test_partial_sums_add_up_and_the_bias_counts_once(name: str, bounds: list[int], tmp_path: Path) -> None:
    graph = graph_of(INNER[name], tmp_path)
    made = check(graph, [inside(graph, "y", bounds)])
    assert made.graph.macs == graph.macs
    reads = sum(graph.tensors[each].bytes for each in graph.inputs) * (6 - bounds[1]) // 6
    assert crossing(made) == reads + (len(bounds) - 2) * graph.tensors["y"].bytes


def test_what_cannot_be_divided_by_its_input_channels(tmp_path: Path) -> None:
    def refused(case: Case, bounds: Sequence[int] = (0, 1, 2)) -> str:
        graph = graph_of(case, tmp_path)
        with pytest.raises(PlanError, match="op 'y'") as caught:
            divide(graph, (inside(graph, "y", bounds),))
        return caught.value.what

    assert "each of its groups has one input channel" in refused(EVERYWHERE["Conv depthwise"])
    assert "only convolutions and matrix products" in refused(one("Relu"))
    assert "only convolutions and matrix products" in refused(one("MaxPool", kernel_shape=[2, 2]))
    assert "a product with a vector" in refused(PARTLY["MatMul with a vector"][0])
    graph = graph_of(EVERYWHERE["Conv in groups"], tmp_path)
    part = Part(0, ((0, 2), (0, 3), (0, 6), (0, 6)), (0, 1))
    with pytest.raises(PlanError, match="whole of axis 1"):
        portions(graph.model.graph[0], part.box, part.inner)


def test_maxima_whose_positions_are_read_stay_whole(tmp_path: Path) -> None:
    nodes = [
        node("MaxPool", "x", "p i", kernel_shape=[2, 2]),
        node("Cast", "i", "f", to=1),
        node("Add", "p f", "y"),
    ]
    graph = small(tmp_path, nodes, X, "y")
    with pytest.raises(PlanError, match="op 'p' \\(MaxPool\\) cannot be divided so: more than its first output"):
        divide(graph, (cut(graph, "p", 2, [0, 3, 7]),))
    rows = [cut(graph, op, 2, [0, 3, 7]) for op in "fy"]
    check(graph, [Split("p", tuple(Part(owner, full(graph.tensors["p"].shape)) for owner in (0, 1))), *rows])


RESHAPES = {  # what to what, the axis that is cut, and where
    "heads": ([2, 8, 12], [2, 8, 3, 4], 2, [0, 1, 3]),
    "heads joined": ([2, 8, 3, 4], [2, 8, 12], 2, [0, 4, 12]),
    "groups of channels": ([1, 12, 4, 4], [1, 3, 4, 4, 4], 1, [0, 2, 3]),
    "inside groups of channels": ([1, 12, 4, 4], [1, 3, 4, 4, 4], 2, [0, 1, 4]),
    "channels of groups": ([1, 3, 4, 4, 4], [1, 12, 4, 4], 1, [0, 8, 12]),
    "a classifier": ([1, 4, 3, 3], [1, 36], 1, [0, 9, 36]),
    "pictures in a batch": ([2, 6, 4, 4], [12, 16], 0, [0, 6, 12]),
    "with ones": ([1, 6, 1, 4], [6, 1, 4, 1], 0, [0, 2, 6]),
}


@pytest.mark.parametrize("name", RESHAPES)
def test_reshapes_whose_parts_are_boxes(name: str, tmp_path: Path) -> None:
    source, target, axis, bounds = RESHAPES[name]
    graph = graph_of(one("Reshape", "x s", {"x": source}, s=np.array(target)), tmp_path)
    check(graph, [cut(graph, "y", axis, bounds)])


def test_a_bound_inside_a_row_is_refused_and_its_multiple_told(tmp_path: Path) -> None:
    graph = graph_of(one("Flatten", "x", {"x": [1, 4, 3, 3]}), tmp_path)
    assert grain(graph.model.graph[0], 1) == 9
    with pytest.raises(PlanError, match="a bound inside a row of 9 elements") as caught:
        divide(graph, (cut(graph, "y", 1, [0, 12, 36]),))
    assert caught.value.hint == "keep bounds at multiples of 9"
    check(graph, [cut(graph, "y", 1, [0, 18, 36])])


@pytest.mark.parametrize("axis", [1, 2])
def test_a_channel_shuffle_is_divided_throughout(axis: int, tmp_path: Path) -> None:
    """Reshape, Transpose, Reshape, Conv, as ShuffleNet has them."""
    nodes = [
        node("Reshape", "x five", "a"),
        node("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "b four", "c"),
        node("Conv", "c w", "y", group=6, pads=[1, 1, 1, 1]),
    ]
    weights = {"five": np.array([1, 2, 6, 4, 4]), "four": np.array([1, 12, 4, 4]), "w": floats(12, 2, 3, 3)}
    graph = small(tmp_path, nodes, {"x": [1, 12, 4, 4]}, "y", weights)
    bounds = {1: {"a": 1, "b": 3, "c": 6, "y": 6}, 2: {"a": 2, "b": 2, "c": 2, "y": 2}}[axis]
    axes = {1: dict.fromkeys("abcy", 1), 2: {"a": 3, "b": 3, "c": 2, "y": 2}}[axis]
    splits = [cut(graph, op, axes[op], [0, at, graph.tensors[op].shape[axes[op]]]) for op, at in bounds.items()]
    check(graph, splits)


def test_integers_and_conditions_are_divided_like_floats(tmp_path: Path) -> None:
    nodes = [
        node("Greater", "x zero", "g"),
        node("Not", "g", "n"),
        node("Cast", "n", "i", to=7),
        node("Cast", "i", "f", to=1),
        node("Where", "g x f", "y"),
    ]
    graph = small(tmp_path, nodes, X, "y", {"zero": np.array(0, np.float32)})
    check(graph, [cut(graph, op, 1, [0, at, 6]) for op, at in zip("gnify", (1, 2, 3, 4, 5), strict=True)])
