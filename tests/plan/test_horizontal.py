"""Layers shared between resources by a mapping file: the same answers, the owners AutoDiCE gives, what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.errors import PlanError
from shoal.graph import Divided, Graph, divide, load
from shoal.plan import ModelRef, Plan, Wishes, mapping_of, search
from shoal.plan.planners.mapping_file import MappingFile, read_mapping
from tests.graph.models import floats, info, model, node, write
from tests.plan.toys import device, fleet, problem, three

A, B, C = "a/cpu", "b/cpu", "c/cpu"
CLOSE = 1e-5  # of the largest magnitude
CONVS: dict[str, dict[str, Any]] = {  # kernel shape and attributes
    "plain": {"kernel": (8, 4, 3, 3), "pads": [1, 1, 1, 1]},
    "strided": {"kernel": (8, 4, 3, 3), "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "long strides": {"kernel": (8, 4, 5, 3), "strides": [3, 2], "pads": [2, 0, 1, 1]},
    "dilated": {"kernel": (8, 4, 3, 3), "dilations": [2, 3], "pads": [2, 3, 2, 3]},
    "grouped": {"kernel": (8, 2, 3, 3), "group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1]},
    "depthwise": {"kernel": (8, 1, 3, 3), "group": 4, "pads": [1, 1, 1, 1]},
    "same": {"kernel": (8, 4, 4, 4), "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    "points": {"kernel": (8, 4, 1, 1)},
}
KINDS = ("lop", "lip", "height", "width")


def convolution(folder: Path, name: str) -> Graph:
    """x → conv → relu → y."""
    attributes = dict(CONVS[name])
    weights = {"w": floats(*attributes.pop("kernel")), "b": floats(8, seed=1)}
    nodes = [node("Relu", "x", "r"), node("Conv", "r w b", "conv", **attributes), node("Sigmoid", "conv", "y")]
    return load(write(model(nodes, [info("x", [1, 4, 17, 15])], ["y"], weights), folder))


def dense(folder: Path, **attributes: Any) -> Graph:
    """x → gemm → relu → y, without and with both matrices turned."""
    shape = (6, 12) if attributes.get("transB") else (12, 6)
    given = [12, 3] if attributes.get("transA") else [3, 12]
    nodes = [node("Gemm", "x w b", "gemm", **attributes), node("Relu", "gemm", "y")]
    return load(write(model(nodes, [info("x", given)], ["y"], {"w": floats(*shape), "b": floats(6)}), folder))


def wrote(folder: Path, mapping: Mapping[str, Any], name: str = "mapping.json") -> str:
    (folder / name).write_text(json.dumps(mapping))
    return str(folder / name)


def mapped(graph: Graph, folder: Path, mapping: Mapping[str, Any]) -> tuple[Divided, dict[str, str]]:
    """The graph divided as a file with this mapping says, and who has each of its ops."""
    asked = problem(graph, three())
    found = MappingFile(wrote(folder, mapping)).search(asked)
    (groups,) = found.placements
    owners = {op: group.unit for group in groups for op in group.ops}
    divided = divide(graph, found.splits)
    assert set(owners) == set(divided.graph.position)
    assert found.scores.shape == (1, 4)
    assert np.isfinite(found.scores).all()
    return divided, owners


def answer(graph: Graph) -> np.ndarray:
    """What onnxruntime makes of inputs that are always the same."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    proto = ir.serde.serialize_model(graph.model)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    feeds = {name: floats(*graph.tensors[name].shape, seed=9) for name in graph.inputs}
    return session.run(list(graph.outputs), feeds)[0]


def assert_same(graph: Graph, divided: Divided) -> None:
    wanted = answer(graph)
    np.testing.assert_allclose(answer(divided.graph), wanted, rtol=0, atol=CLOSE * np.abs(wanted).max())


def entry(kind: str, sizes: list[int], resources: list[str]) -> list[Any]:
    return [kind, np.cumsum(sizes).tolist() if kind == "lop" else sizes, resources]


def of_sizes(kind: str, name: str, graph: Graph) -> int:
    """How many channels, rows or columns there are to divide."""
    shape = graph.tensors["conv"].shape
    return {"lop": shape[1], "lip": CONVS[name]["kernel"][1], "height": shape[2], "width": shape[3]}[kind]


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_convolution_in_any_way(kind: str, name: str, tmp_path: Path, data: st.DataObject) -> None:
    graph = convolution(tmp_path, name)
    size = of_sizes(kind, name, graph)
    most = min(3, size)
    ends = data.draw(st.sets(st.integers(1, size - 1), max_size=most - 1)) if size > 1 else set()
    sizes = np.diff([0, *sorted(ends), size]).tolist()
    resources = data.draw(st.permutations((A, B, C)))[: len(sizes)]
    shared = {"conv": entry(kind, sizes, resources)}
    if kind == "lip" and name == "depthwise":
        with pytest.raises(PlanError, match=r"op 'conv' \(Conv\) cannot be divided so: each of its groups has one"):
            mapped(graph, tmp_path, {B: ["r"], C: ["y"], "split": shared})
        return
    divided, owners = mapped(graph, tmp_path, {B: ["r"], C: ["y"], "split": shared})
    assert_same(graph, divided)
    assert owners["y"] == C
    heavy = [op for op in divided.graph.ops if op.origin == "conv" and op.kind == "Conv"]
    assert {owners[op.name] for op in heavy} == set(resources)
    joins = [op.name for op in divided.graph.ops if op.kind == ("Sum" if kind == "lip" else "Concat")]
    assert "group" in CONVS[name] or {owners[join] for join in joins} <= {C}, "joined where it is read"


@pytest.mark.parametrize("attributes", [{}, {"transB": 1}, {"transA": 1, "alpha": 0.5, "beta": 2.0}])
@pytest.mark.parametrize(("kind", "points"), [("lop", [1, 4, 6]), ("lip", [5, 1, 6]), ("lip", [12])])
def test_any_dense_layer(kind: str, points: list[int], attributes: dict[str, Any], tmp_path: Path) -> None:
    graph = dense(tmp_path, **attributes)
    shared = {"gemm": [kind, points, [C, A, B][: len(points)]]}
    divided, owners = mapped(graph, tmp_path, {B: ["y"], "split": shared})
    assert_same(graph, divided)
    parts = [op for op in divided.graph.ops if op.origin == "gemm"]
    assert sum(op.macs for op in parts) == graph.ops[0].macs
    assert [owners[op.name] for op in parts if op.kind == "Gemm"] == [C, A, B][: len(points)]


def test_a_layer_may_be_divided_between_two_keys_of_one_unit(tmp_path: Path) -> None:
    graph = convolution(tmp_path, "plain")
    divided, owners = mapped(graph, tmp_path, {A: ["r", "y"], "split": {"conv": ["lop", [3, 8], ["a", A]]}})
    assert_same(graph, divided)
    assert set(owners.values()) == {A}


def test_the_first_reader_adds_up_and_the_maker_cuts(tmp_path: Path) -> None:
    graph = convolution(tmp_path, "plain")
    divided, owners = mapped(graph, tmp_path, {A: ["r"], B: ["y"], "split": {"conv": ["lip", [1, 3], [C, A]]}})
    who = {op.name: (op.kind, owners[op.name]) for op in divided.graph.ops}
    assert [kind_and_unit for kind_and_unit in who.values() if kind_and_unit[0] in ("Slice", "Sum")] == [
        ("Slice", A),
        ("Slice", A),
        ("Sum", B),
    ]
    assert who["r"] == ("Relu", A)
    bias = [op.weights for op in divided.graph.ops if op.kind == "Conv"]
    assert ["b" in weights for weights in bias] == [True, False]


def test_autodices_own_pair_of_files(tmp_path: Path) -> None:
    """There a divided layer also stands in the list of each of its resources."""
    graph = convolution(tmp_path, "strided")
    asked = problem(graph, fleet(device("nx01"), device("nx02")))
    lists = {"nx01_arm01": ["r", "conv"], "nx02_arm0": ["conv", "y"]}
    pair = MappingFile(
        wrote(tmp_path, lists),
        wrote(tmp_path, {"conv": ["lop", [5, 8], ["nx01_arm01", "nx02_arm0"]]}, "horizontal.json"),
    ).search(asked)
    shared = {"conv": ["lop", [5, 8], ["nx01", "nx02"]]}
    for key in ("split", "horizontal"):
        one = MappingFile(wrote(tmp_path, {"nx01": ["r"], "nx02": ["y"], key: shared})).search(asked)
        assert one.placements == pair.placements
        assert one.splits == pair.splits != ()
    with pytest.raises(PlanError, match=r"to a resource that has no part of it: conv"):
        MappingFile(wrote(tmp_path, {"nx01": ["r", "y"], "nx02": ["conv"], "split": {"conv": ["lop", [8], ["nx01"]]}})).search(asked)  # fmt: skip


def planned(graph: Graph, folder: Path, mapping: Mapping[str, Any], **more: Any) -> Plan:
    asked = problem(graph, three())
    wishes = Wishes(planner=f"mapping_file:path={wrote(folder, mapping)}", **more)
    return search(graph, ModelRef("toy", graph.source, graph.sha256), asked.fleet, asked.costs, wishes).plan


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_back(kind: str, tmp_path: Path) -> None:
    graph = convolution(tmp_path, "plain")
    sizes = [1, of_sizes(kind, "plain", graph) - 1]
    mapping = {B: ["r"], C: ["y"], "split": {"conv": entry(kind, sizes, [C, B])}}
    plan = planned(graph, tmp_path, mapping)
    assert mapping_of(plan) == mapping
    assert plan.prediction.sent_bytes["b"] > 0


@pytest.mark.parametrize("strategy", ["channel_out", "channel_in", "tile"])
def test_other_divisions_are_written_where_the_form_allows(strategy: str, tmp_path: Path) -> None:
    graph = convolution(tmp_path, "plain")
    asked = problem(graph, three())
    wishes = Wishes(strategy=strategy, shares=(1, 1, 0))
    plan = search(graph, ModelRef("toy", graph.source, graph.sha256), asked.fleet, asked.costs, wishes).plan
    if strategy != "channel_out":  # sums are divided too; strips overlap
        with pytest.raises(PlanError, match="no mapping can say how op '"):
            mapping_of(plan)
        return
    written = mapping_of(plan)
    assert {kind for kind, _, _ in written["split"].values()} == {"lop"}
    divided, _ = mapped(graph, tmp_path, written)
    assert_same(graph, divided)


def test_a_pin_holds_for_all_parts_of_its_op(tmp_path: Path) -> None:
    graph = convolution(tmp_path, "plain")
    mapping = {A: ["r", "y"], "split": {"conv": ["lop", [4, 8], [A, B]]}}
    assert planned(graph, tmp_path, mapping, pins={"r": "a"}).splits
    with pytest.raises(PlanError, match="conv"):
        planned(graph, tmp_path, mapping, pins={"conv": "a"})


@pytest.mark.parametrize(
    ("shared", "says"),
    [
        (["lop", [3, 7], [A, B]], r"layer 'conv' \(Conv, lop\).* \(needed points that rise and end at 8 output channels, had 3, 7\)"),
        (["lop", [4, 4], [A, B]], "needed points that rise"),
        (["lop", [8, 4], [A, B]], "needed points that rise"),
        (["lip", [2, 1], [A, B]], "needed sizes that add up to 4 input channels, had 2, 1"),
        (["height", [17, 17], [A, B]], "needed sizes that add up to 17 output rows, had 17, 17"),
        (["width", [0, 15], [A, B]], "needed sizes that add up to 15 output columns, had 0, 15"),
        (["lip", [1] * 5, [A, B, C, A, B]], r"more parts than input channels \(needed at most 4, had 5\)"),
        (["lop", [8], ["mars"]], r"no such resource: mars"),
        (["lopp", [8], [A]], r"layer 'conv': no kind 'lopp' \(needed lop, lip, height, width\)"),
        (["lop", [4, 8], [A]], r"not a point for each resource \(needed as many of both, had 2 points and 1 resources\)"),
        (["lop", [4, True], [A, B]], "not a divided layer"),
        (["lop", [], []], "not a divided layer"),
        (["lop", [8]], "not a divided layer"),
        ("lop", "not a divided layer"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(shared: object, says: str, tmp_path: Path) -> None:
    graph = convolution(tmp_path, "plain")
    with pytest.raises(PlanError, match=says):
        planned(graph, tmp_path, {A: ["r"], B: ["y"], "split": {"conv": shared}})


def test_sizes_taken_for_ends_get_a_hint(tmp_path: Path) -> None:
    graph = convolution(tmp_path, "plain")
    for wrong in (["lop", [4, 4], [A, B]], ["height", [8, 17], [A, B]]):
        with pytest.raises(PlanError) as caught:
            planned(graph, tmp_path, {A: ["r", "y"], "split": {"conv": wrong}})
        assert caught.value.hint == "lop takes where each part ends, the others take sizes"


@pytest.mark.parametrize(
    ("kind", "size", "says"),
    [
        ("lip", 1, r"'y' \(Relu\) cannot be divided so: only convolutions and matrix products"),
        ("height", 3, r"'y' \(Relu\) makes no picture: it has no output rows \(needed 4 axes, had 2\)"),
    ],
)
def test_layers_that_have_no_such_parts(kind: str, size: int, says: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=says):
        planned(dense(tmp_path), tmp_path, {A: ["gemm"], "split": {"y": [kind, [size], [A]]}})


def test_layers_that_are_not_there_or_divided_twice(tmp_path: Path) -> None:
    graph = convolution(tmp_path, "plain")
    shared = {"conv": ["lop", [8], [A]], "none": ["lop", [8], [A]]}
    with pytest.raises(PlanError, match="not in the model: none"):
        planned(graph, tmp_path, {A: ["r", "y"], "split": shared})
    path = Path(wrote(tmp_path, {A: ["r", "y"], "split": {"conv": ["lop", [8], [A]]}, "horizontal": shared}))
    with pytest.raises(PlanError, match="layer 'conv' is divided twice"):
        read_mapping(path)
    path.write_text('{"split": {"conv": ["lop", [8], ["a"]], "conv": ["lop", [8], ["b"]]}}')
    with pytest.raises(PlanError, match="'conv' stands twice"):
        read_mapping(path)


def test_only_one_unit_reads_each_weight_slice(tmp_path: Path) -> None:
    """Weights add up to the whole: the bias once, each slice once."""
    graph = convolution(tmp_path, "grouped")
    for kind, sizes in (("lop", [4, 4]), ("lip", [1, 1])):
        divided, _ = mapped(graph, tmp_path, {A: ["r", "y"], "split": {"conv": entry(kind, sizes, [A, B])}})
        parts = [op for op in divided.graph.ops if op.kind == "Conv"]
        assert sum(op.weights_bytes for op in parts) == graph.weights_bytes
    assert onnx.checker.check_model(ir.serde.serialize_model(divided.graph.model)) is None
