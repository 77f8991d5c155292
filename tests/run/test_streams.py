"""Groups tile by tile: the tensors of the whole network, in buffers of a few rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.graph import Graph, load
from shoal.plan.streams import Streamed, Streams
from shoal.run.streams import Ran, run_streamed
from shoal.study._sn40l_graphs import SMALL, decoder
from tests.graph.divided import answers, run, small
from tests.graph.models import floats, node, write
from tests.graph.test_divide import networks

PICTURE = {"x": [1, 4, 48, 16]}
CONV = {"pads": [1, 1, 1, 1]}


def ran(
    graph: Graph, groups: list[tuple[str, ...]], tiles: int, *, traced: bool = False
) -> tuple[Ran, list[Streamed]]:
    """The groups' run, once it is found to be that of the whole."""
    feeds, wanted = answers(graph)
    streams = Streams(graph, tiles)
    streamed = [streams.streamed(each) for each in groups]
    found = run_streamed(graph, streamed, feeds, traced=traced)
    for name, array in wanted.items():
        assert found.outputs[name].shape == array.shape
        np.testing.assert_allclose(found.outputs[name], array, rtol=0, atol=1e-5 * max(1e-9, np.abs(array).max()))
    assert list(found.inside_bytes) == [each.buffer_bytes(graph) for each in streamed]
    return found, streamed


def whole(graph: Graph) -> list[tuple[str, ...]]:
    return [tuple(op.name for op in graph.ops)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(networks(), st.data())
def test_any_network_in_any_groups_and_tiles(tmp_path: Path, made: onnx.ModelProto, data: st.DataObject) -> None:
    graph = load(write(made, tmp_path))
    names = [op.name for op in graph.ops]
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(names) - 1)), max_size=3)) | {0, len(names)})
    groups = [tuple(names[first:end]) for first, end in pairwise(cuts)]
    ran(graph, groups, data.draw(st.integers(1, 14)))


def chain(folder: Path, layers: int = 4, shapes: Mapping[str, Sequence[int]] = PICTURE) -> Graph:
    nodes = [node("Conv", f"{'x' if at == 0 else f'c{at - 1}'} w", f"c{at}", **CONV) for at in range(layers)]
    return small(folder, nodes, shapes, f"c{layers - 1}", {"w": floats(4, 4, 3, 3) / 6})


def test_windows_need_three_rows_and_no_more(tmp_path: Path) -> None:
    graph = chain(tmp_path)
    found, (streamed,) = ran(graph, whole(graph), 48)
    (pipeline,) = streamed.pipelines
    assert pipeline.rows == {"c0": 3, "c1": 3, "c2": 3}
    assert found.inside_bytes == (3 * 3 * 4 * 16 * 4,)
    for op in ("c0", "c1", "c2", "c3"):  # every row once
        assert sum(each.end - each.first for each in pipeline.steps if each.op == op) == 48


def test_a_shortcut_waits_as_long_as_what_it_goes_past(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("Conv", "a w", "b", **CONV),
        node("Conv", "b w", "c", **CONV),
        node("Conv", "c w", "d", **CONV),
        node("Add", "a d", "y"),
    ]
    graph = small(tmp_path, nodes, PICTURE, "y", {"w": floats(4, 4, 3, 3) / 6})
    _, (streamed,) = ran(graph, whole(graph), 48)
    assert streamed.pipelines[0].rows == {"a": 4, "b": 3, "c": 3, "d": 1}


def test_memory_is_that_of_tiles_as_python_has_it(tmp_path: Path) -> None:
    graph = chain(tmp_path, 6, {"x": [1, 4, 96, 128]})
    one = graph.tensors["c0"].bytes
    found, _ = ran(graph, whole(graph), 32, traced=True)
    assert found.inside_bytes[0] < found.traced_bytes[0] < one
    apart, _ = ran(graph, [(op.name,) for op in graph.ops], 1)
    assert apart.peak_bytes == 2 * one
    assert found.peak_bytes == found.inside_bytes[0] < one


def test_what_sums_nothing_is_the_same_bit_by_bit(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "a"), node("Transpose", "a", "b", perm=[0, 2, 3, 1]), node("Mul", "b b", "c"),
        node("Transpose", "c", "d", perm=[0, 3, 1, 2]), node("MaxPool", "d", "e", kernel_shape=[3, 3], strides=[2, 2]),
        node("Concat", "e e", "f", axis=1), node("Slice", "f s t k", "y"),
    ]  # fmt: skip
    bounds = {"s": np.array([1]), "t": np.array([7]), "k": np.array([1])}
    graph = small(tmp_path, nodes, PICTURE, "y", bounds)
    feeds, wanted = answers(graph)
    streamed = Streams(graph, 8).streamed(whole(graph)[0])
    assert not streamed.lanes.held
    np.testing.assert_array_equal(run_streamed(graph, [streamed], feeds).outputs["y"], wanted["y"])


def test_what_stops_tiles_is_told_by_name(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "a", **CONV), node("Relu", "a", "b"), node("ReduceMean", "b", "m", axes=[1, 2, 3], keepdims=1),
        node("Mul", "b m", "c"), node("Softmax", "c", "d", axis=2), node("Relu", "d", "y"),
    ]  # fmt: skip
    graph = small(tmp_path, nodes, PICTURE, "y", {"w": floats(4, 4, 3, 3) / 6})
    _, (streamed,) = ran(graph, whole(graph), 8)
    held = {each.tensor: each for each in streamed.lanes.held}
    assert held["b"].reader == "m"
    assert "it needs" in held["b"].why or "reads all of it" in held["b"].why or "one row" in held["b"].why
    assert held["m"].reader == "c"
    assert "m" not in streamed.pipelines[0].rows
    assert len(streamed.pipelines) >= 2


def test_an_op_that_refuses_a_tile_goes_another_way(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x shape", "a"), node("Relu", "a", "y")]
    graph = small(tmp_path, nodes, {"x": [1, 2, 3, 8]}, "y", {"shape": np.array([1, 6, 8])})
    ran(graph, whole(graph), 3)


def test_scores_of_a_decoder_are_never_there_whole(tmp_path: Path) -> None:
    graph = decoder(SMALL, 1, 32, 32, tmp_path, half=False)
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal(graph.tensors[name].shape).astype(np.float32) for name in graph.given}
    streamed = Streams(graph, 32).streamed(whole(graph)[0])
    softmax = next(op for op in graph.ops if op.kind == "Softmax")
    assert {*softmax.inputs, *softmax.outputs} <= set(streamed.lanes.passing)
    found, wanted = run_streamed(graph, [streamed], feeds).outputs, run(graph, feeds)
    for name in graph.outputs:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-5)


@pytest.mark.parametrize("tiles", [1, 5])
def test_several_outputs_and_whole_numbers(tmp_path: Path, tiles: int) -> None:
    nodes = [
        node("Split", "x sizes", "a b", axis=1), node("Relu", "b", "c"), node("Add", "a c", "d"),
        node("Flatten", "d", "e"), node("ArgMax", "e", "n", axis=1), node("Cast", "n", "y", to=1),
    ]  # fmt: skip
    graph = small(tmp_path, nodes, PICTURE, "y d", {"sizes": np.array([2, 2])})
    feeds, wanted = answers(graph)
    groups = [tuple(op.name for op in graph.ops)[:3], tuple(op.name for op in graph.ops)[3:]]
    found = run_streamed(graph, [Streams(graph, tiles).streamed(each) for each in groups], feeds).outputs
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)


def test_an_answer_that_is_read_on_is_made_before_it_is_read(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "a"), node("Conv", "a w", "b", **CONV), node("Conv", "b w", "y", **CONV)]
    graph = small(tmp_path, nodes, PICTURE, "a b y", {"w": floats(4, 4, 3, 3) / 6})
    _, (streamed,) = ran(graph, whole(graph), 24)
    assert streamed.lanes.passing == ()
    assert len(streamed.pipelines) == 1


@pytest.mark.parametrize("tiles", [2, 3, 8])
def test_a_tensor_joined_with_itself_is_held_where_its_copies_follow_each_other(tmp_path: Path, tiles: int) -> None:
    nodes = [node("Relu", "x", "a"), node("Concat", "a a", "b", axis=1), node("Relu", "b", "y")]
    ran(small(tmp_path, nodes, {"x": [1, 4, 1, 1]}, "y"), [("a", "b", "y")], tiles)
    ran(small(tmp_path, nodes, {"x": [1, 4, 12, 12]}, "y b"), [("a", "b", "y")], tiles)
