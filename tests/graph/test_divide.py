"""Any division of any small network answers like the whole, and sends what the formula says."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.errors import PlanError, ProgramError
from shoal.graph import Graph, Part, Split, divide, load
from shoal.graph.box import Box, full
from shoal.graph.flow import transfer_bytes
from shoal.graph.portions import portions
from shoal.graph.tidy import label
from tests.graph.divided import answers, check, crossing, cut, inside, run, small
from tests.graph.models import floats, info, model, node, write

QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
PARTS = 3


class Growing:
    """A random network: pictures of some sizes and widths, any of which the next op may read."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, npt.NDArray[np.float32]] = {}
        self.shapes: dict[str, tuple[int, int]] = {"x": (4, 12)}  # channels, rows (and columns)

    def grow(self) -> None:
        kind = self.draw(st.sampled_from(["Conv", "Conv", "Grouped", "Relu", "Pool", "Add", "Concat"]))
        source = self.draw(st.sampled_from(sorted(self.shapes)))
        name = f"{kind.lower()}{len(self.nodes)}"
        channels, size = self.shapes[source]
        alike = [other for other, shape in self.shapes.items() if shape == (channels, size)]
        if kind == "Conv":
            wide = self.draw(st.integers(2, 6))
            self._conv(name, source, wide, channels, 1)
            self.shapes[name] = (wide, size)
        elif kind == "Grouped" and channels % 2 == 0:
            self._conv(name, source, 2 * channels, channels // 2, 2)
            self.shapes[name] = (2 * channels, size)
        elif kind == "Pool" and size >= 6:
            self.nodes.append(node("MaxPool", source, name, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
            self.shapes[name] = (channels, (size - 1) // 2 + 1)
        elif kind in ("Add", "Concat") and channels < 12:
            other = self.draw(st.sampled_from(alike))
            self.nodes.append(node(kind, f"{source} {other}", name, **({"axis": 1} if kind == "Concat" else {})))
            self.shapes[name] = (channels * (1 + (kind == "Concat")), size)
        else:
            self.nodes.append(node("Relu", source, name))
            self.shapes[name] = (channels, size)

    def _conv(self, name: str, source: str, wide: int, read: int, groups: int) -> None:
        extent = self.draw(st.sampled_from([1, 3]))
        pad = extent // 2
        self.weights[f"w{name}"] = floats(wide, read, extent, extent, seed=len(self.nodes)) / (3 * read)
        self.weights[f"b{name}"] = floats(wide, seed=len(self.nodes) + 100)
        inputs = f"{source} w{name} b{name}"
        self.nodes.append(node("Conv", inputs, name, pads=[pad] * 4, group=groups))


@st.composite
def networks(draw: st.DrawFn) -> onnx.ModelProto:
    """Up to eight ops; whatever nobody reads is an answer, and sometimes what somebody reads is one, too."""
    growing = Growing(draw)
    for _ in range(draw(st.integers(1, 8))):
        growing.grow()
    read = {name for made in growing.nodes for name in made.input}
    ends = [made.output[0] for made in growing.nodes if made.output[0] not in read]
    more = draw(st.sets(st.sampled_from([made.output[0] for made in growing.nodes]), max_size=1))
    outputs = list(dict.fromkeys([*ends, *sorted(more)]))
    return model(growing.nodes, [info("x", [1, 4, 12, 12])], outputs, growing.weights)


@st.composite
def splits_of(draw: st.DrawFn, graph: Graph) -> tuple[Split, ...]:
    """Each op divided in some way that it allows, among some of the parts."""
    found = []
    for made in graph.model.graph:
        split = draw(_split(graph, label(made)))
        try:
            for part in split.parts:
                portions(made, part.box, part.inner)
        except PlanError:
            continue
        found.append(split)
    return tuple(found)


@st.composite
def _split(draw: st.DrawFn, graph: Graph, op: str) -> Split:
    shape = graph.tensors[op].shape
    how = draw(st.sampled_from(["whole", "copies", "rows", "columns", "channels", "inner", "overlapping", "grid"]))
    owners = draw(st.permutations(range(PARTS)))[: draw(st.integers(2, PARTS))]
    if how == "whole":
        return Split(op, (Part(owners[0], full(shape)),))
    if how == "copies":
        return Split(op, tuple(Part(owner, full(shape)) for owner in owners))
    if how == "inner":
        kernel = graph.ops[graph.position[op]].weights[:1]
        depth = graph.weights[kernel[0]].shape[1] if kernel else 1
        intervals = _intervals(draw, depth, len(owners))
        sums = tuple(Part(owner, box) for owner, box in _slabs(draw, shape, 1, draw(st.permutations(owners))))
        return Split(
            op, tuple(Part(o, full(shape), each) for o, each in zip(owners, intervals, strict=False)), sums
        )
    if how == "grid":
        boxes = [box for _, half in _slabs(draw, shape, 2, (0, 1)) for box in _columns(draw, half)]
        return Split(op, tuple(Part(draw(st.sampled_from(owners)), box) for box in boxes))
    axis = {"rows": 2, "columns": 3, "channels": 1, "overlapping": 2}[how]
    parts = _slabs(draw, shape, axis, owners)
    if how == "overlapping":
        parts = [(owner, _wider(box, shape, axis)) for owner, box in parts]
    return Split(op, tuple(Part(owner, box) for owner, box in parts))


def _intervals(draw: st.DrawFn, size: int, count: int) -> list[tuple[int, int]]:
    inner = draw(st.sets(st.integers(1, size - 1), max_size=count - 1)) if size > 1 else set()
    marks = [0, *sorted(inner), size]
    return list(itertools.pairwise(marks))


def _slabs(draw: st.DrawFn, shape: tuple[int, ...], axis: int, owners: Any) -> list[tuple[int, Box]]:
    intervals = _intervals(draw, shape[axis], len(owners))
    boxes = [(*full(shape)[:axis], each, *full(shape)[axis + 1 :]) for each in intervals]
    return list(zip(owners, boxes, strict=False))


def _columns(draw: st.DrawFn, box: Box) -> list[Box]:
    first, end = box[3]
    return [(*box[:3], (first + a, first + b)) for a, b in _intervals(draw, end - first, 2)]


def _wider(box: Box, shape: tuple[int, ...], axis: int) -> Box:
    first, end = box[axis]
    return (*box[:axis], (max(0, first - 1), min(shape[axis], end + 2)), *box[axis + 1 :])


@given(proto=networks(), data=st.data())
@QUICK
def test_any_division_of_any_network_answers_like_the_whole(
    tmp_path: Path, proto: onnx.ModelProto, data: st.DataObject
) -> None:
    graph = load(write(proto, tmp_path))
    splits = data.draw(splits_of(graph))
    check(graph, splits, home=data.draw(st.integers(0, PARTS - 1)))


def three_layers(folder: Path, opset: int = 17) -> Graph:
    """conv, relu, conv, and an answer from the middle."""
    weights = {"v": floats(6, 4, 3, 3), "vb": floats(6), "w": floats(8, 6, 3, 3, seed=1), "wb": floats(8, seed=2)}
    nodes = [
        node("Conv", "x v vb", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "b"),
        node("Conv", "b w wb", "y", pads=[1, 1, 1, 1]),
    ]
    return small(folder, nodes, {"x": [1, 4, 10, 10]}, "y b", weights, opset)


@pytest.mark.parametrize("opset", [9, 11, 17])
def test_halos_are_slices_in_every_opset(tmp_path: Path, opset: int) -> None:
    graph = three_layers(tmp_path, opset)
    rows = [0, 3, 10]
    made = check(graph, [cut(graph, op, 2, rows) for op in "aby"])
    sent = 4 * (
        4 * 8 * 10 + 2 * 6 * 10 + 8 * 7 * 10 + 6 * 6 * 10
    )  # rows 2–10 of x; a row of b each way; y; the rest of b
    assert crossing(made) == sent


def test_equal_divisions_are_equal_and_others_are_not(tmp_path: Path) -> None:
    graph = three_layers(tmp_path)
    rows = tuple(cut(graph, op, 2, [0, 3, 10]) for op in "aby")
    one, again = divide(graph, rows), divide(three_layers(tmp_path), rows)
    assert one.graph.sha256 == again.graph.sha256
    assert [op.name for op in one.graph.ops] == [op.name for op in again.graph.ops]
    others = [rows[:2], tuple(cut(graph, op, 2, [0, 4, 10]) for op in "aby"), (inside(graph, "y", [0, 2, 6]),), ()]
    hashes = {divide(graph, other).graph.sha256 for other in others} | {divide(graph, rows, 1).graph.sha256}
    assert len(hashes - {one.graph.sha256}) == len(others) + 1


def test_without_splits_nothing_is_rewritten(tmp_path: Path) -> None:
    graph = three_layers(tmp_path)
    assert divide(graph, ()).graph is graph
    assert set(divide(graph, (), 2).owners.values()) == {2}


@pytest.mark.parametrize("axis_of", [1, None], ids=["by output", "by input"])
def test_weights_of_the_parts_are_those_of_the_whole(tmp_path: Path, axis_of: int | None) -> None:
    graph = three_layers(tmp_path)
    splits = [cut(graph, op, 1, [0, 2, graph.tensors[op].shape[1]]) for op in "aby"]
    if axis_of is None:
        splits[2] = inside(graph, "y", [0, 2, 6])
    made = check(graph, splits).graph
    assert made.weights_bytes - _own_bytes(made) == graph.weights_bytes
    by_origin = {op.origin: 0 for op in made.ops}
    for op in made.ops:
        by_origin[op.origin] += op.macs
    assert {name: by_origin[name] for name in "ay"} == {op.name: op.macs for op in graph.ops if op.name in "ay"}


def _own_bytes(graph: Graph) -> int:
    return sum(weight.bytes for name, weight in graph.weights.items() if name.startswith("shoal."))


def test_parts_are_called_after_the_op_they_are_of(tmp_path: Path) -> None:
    graph = three_layers(tmp_path)
    made = check(graph, [cut(graph, "a", 2, [0, 5, 10]), cut(graph, "b", 2, [0, 5, 10])])
    origins = {op.name: op.origin for op in made.graph.ops if op.origin}
    assert origins == {"a@0": "a", "a@1": "a", "b@0": "b", "b@1": "b", "y": "y"}
    assert {op.kind for op in made.graph.ops if not op.origin} == {"Slice", "Concat", "Identity"}
    assert made.graph.base is graph


def test_what_a_part_has_already_is_not_sent_again(tmp_path: Path) -> None:
    """Both layers read x on part 1, one more of it than the other."""
    weights = {"v": floats(2, 2, 1, 1), "w": floats(2, 2, 5, 5)}
    nodes = [node("Conv", "x v", "a"), node("Conv", "x w", "b", pads=[2, 2, 2, 2]), node("Add", "a b", "y")]
    graph = small(tmp_path, nodes, {"x": [1, 2, 8, 8]}, "y", weights)
    made = check(graph, [cut(graph, op, 2, [0, 4, 8]) for op in "aby"])
    assert crossing(made) == 4 * 2 * 8 * (6 + 4)  # rows 2–8 of x once, its half of y home


def test_a_part_takes_its_own_first_and_the_rest_from_others(tmp_path: Path) -> None:
    """Part 0 has all of a, part 1 half of it: only the other half is sent."""
    nodes = [node("Relu", "x", "a"), node("Relu", "a", "y")]
    graph = small(tmp_path, nodes, {"x": [1, 2, 8, 8]}, "y", {})
    a, y = full((1, 2, 8, 8)), full((1, 2, 8, 8))
    half = ((0, 1), (0, 2), (0, 4), (0, 8))
    made = check(graph, [Split("a", (Part(0, a), Part(1, half))), Split("y", (Part(1, y),))])
    assert crossing(made) == 4 * 2 * 8 * (4 + 4)


def test_copies_of_an_op_with_several_outputs(tmp_path: Path) -> None:
    nodes = [node("Split", "x", "left right", axis=1), node("Relu", "right", "r"), node("Add", "left r", "y")]
    graph = small(tmp_path, nodes, {"x": [1, 4, 6, 6]}, "y", {}, opset=11)
    both = tuple(Part(owner, full((1, 2, 6, 6))) for owner in range(2))
    rows = [cut(graph, op, 2, [0, 3, 6]) for op in "ry"]
    check(graph, [Split("left", both), *rows])
    check(graph, [Split("left", both[1:]), *rows])
    with pytest.raises(
        PlanError, match="op 'left' \\(Split\\) cannot be divided so: more than its first output is read"
    ):
        divide(graph, (cut(graph, "left", 2, [0, 3, 6]),))


def test_copies_of_an_op_whose_first_output_nobody_reads(tmp_path: Path) -> None:
    nodes = [node("Split", "x s", "left right", axis=1), node("Relu", "right", "y")]
    graph = small(tmp_path, nodes, {"x": [1, 4, 6, 6]}, "y", {"s": np.array([1, 3])}, opset=17)
    both = tuple(Part(owner, full((1, 3, 6, 6))) for owner in range(2))
    check(graph, [Split("right", both), cut(graph, "y", 2, [0, 3, 6])])
    check(graph, [Split("right", both[1:])])


def test_an_unknown_op_and_an_undivided_kind_are_named(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "a"), node("CumSum", "a two", "y")]
    graph = small(tmp_path, nodes, {"x": [1, 2, 8, 8]}, "y", {"two": np.array(2)})
    with pytest.raises(PlanError, match="the model has no op 'z'"):
        divide(graph, (Split("z", ()),))
    with pytest.raises(PlanError, match="op 'y' \\(CumSum\\) cannot be divided so: no rule for CumSum") as caught:
        divide(graph, (cut(graph, "y", 2, [0, 4, 8]),))
    assert caught.value.hint == "run it whole on one unit"
    with pytest.raises(PlanError, match="cannot be divided so"):
        transfer_bytes(graph, [cut(graph, "y", 2, [0, 4, 8])])


def test_parts_that_leave_a_gap_are_a_defect_that_is_told(tmp_path: Path) -> None:
    graph = three_layers(tmp_path)
    with pytest.raises(ProgramError, match="nobody makes all of tensor 'a'"):
        divide(graph, (Split("a", cut(graph, "a", 2, [0, 4, 9]).parts),))


def test_answers_of_a_divided_graph_keep_names_and_types(tmp_path: Path) -> None:
    graph = three_layers(tmp_path)
    made = check(graph, [cut(graph, op, 1, [0, 3, graph.tensors[op].shape[1]]) for op in "aby"], home=1).graph
    assert (made.inputs, made.outputs) == (graph.inputs, graph.outputs)
    assert [made.tensors[name] for name in made.outputs] == [graph.tensors[name] for name in graph.outputs]
    assert run(made, answers(graph)[0]).keys() == {"y", "b"}
