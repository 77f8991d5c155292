"""The rows that a tile reads, against brute force and against what an engine makes of a tile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from shoal.errors import PlanError
from shoal.graph import Graph, divide
from shoal.graph.portions import reads
from tests.graph.divided import check, cut, small
from tests.graph.models import floats, node

KERNELS, STRIDES, DILATIONS = (1, 2, 3, 5, 7, 11), (1, 2, 4), (1, 2)
QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def windows(draw: st.DrawFn, runs: bool = True) -> dict[str, Any]:
    """Attributes of an op with a window, the same on both axes but for the padding, and the sizes of its input.

    With `runs` only what onnxruntime runs as ONNX has it: of padding of its own choice it knows none with dilation,
    and gets it wrong where strides skip rows.
    """
    kernel = draw(st.sampled_from(KERNELS))
    auto = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    limited = runs and auto.startswith("SAME")
    dilation = 1 if limited else draw(st.sampled_from(DILATIONS))
    stride = draw(st.sampled_from([each for each in STRIDES if each <= kernel or not limited]))
    found: dict[str, Any] = {
        "kernel_shape": [kernel, kernel],
        "strides": [stride, stride],
        "dilations": [dilation, dilation],
    }
    if auto != "NOTSET":
        found["auto_pad"] = auto
    else:
        found["pads"] = [draw(st.integers(0, kernel - 1)) for _ in range(4)]
    extent = dilation * (kernel - 1) + 1
    found["size"] = [draw(st.integers(extent, extent + 14)) for _ in range(2)]
    return found


def net(folder: Path, kind: str, window: dict[str, Any], channels: int = 2, **more: Any) -> Graph:
    attributes = {name: value for name, value in window.items() if name != "size"} | more
    weights = {}
    if kind == "Conv":
        weights = {"w": floats(3, channels, *window["kernel_shape"]), "b": floats(3, seed=1)}
    made = node(kind, "x w b" if weights else "x", "y", **attributes)
    return small(folder, [made], {"x": [1, channels, *window["size"]]}, "y", weights, opset=19)


def bounds_in(draw: st.DataObject, size: int) -> list[int]:
    """Two to five parts, down to a single row each."""
    assume(size >= 2)
    inner = draw.draw(st.sets(st.integers(1, size - 1), min_size=1, max_size=4))
    return [0, *sorted(inner), size]


def tiled(graph: Graph, axis: int, bounds: list[int]) -> None:
    """Check the tiles; what sees only padding may be refused, and some pools whose last window hangs over."""
    split = cut(graph, "y", axis, bounds)
    made = graph.model.graph[0]
    try:
        divide(graph, (split,))
    except PlanError as fault:
        reason = fault.what
    else:
        check(graph, [split])
        return
    if "hangs over" in reason:
        assert made.attributes.get_int("ceil_mode") == 1
    else:
        assert "nothing but padding" in reason
        assert any(not seen(graph, axis, row) for row in range(graph.tensors["y"].shape[axis]))


def seen(graph: Graph, axis: int, row: int) -> set[int]:
    """The input rows that one output row reads, tap by tap."""
    made = graph.model.graph[0]
    kernel, stride, dilation = (
        tuple(made.attributes.get_ints(name) or ())[axis - 2] for name in ("kernel_shape", "strides", "dilations")
    )
    source, target = graph.tensors["x"].shape[axis], graph.tensors["y"].shape[axis]
    auto = made.attributes.get_string("auto_pad", "NOTSET")
    total = max(0, (target - 1) * stride + dilation * (kernel - 1) + 1 - source)
    before = {"VALID": 0, "SAME_UPPER": total // 2, "SAME_LOWER": total - total // 2}.get(auto or "")
    if before is None:
        before = (made.attributes.get_ints("pads") or (0, 0, 0, 0))[axis - 2]
    return {row * stride - before + tap * dilation for tap in range(kernel)} & set(range(source))


@given(window=windows(runs=False), data=st.data())
@QUICK
def test_a_tile_reads_what_its_windows_touch(tmp_path: Path, window: dict[str, Any], data: st.DataObject) -> None:
    graph = net(tmp_path, "Conv", window)
    axis = data.draw(st.sampled_from([2, 3]))
    bounds = bounds_in(data, graph.tensors["y"].shape[axis])
    for part in cut(graph, "y", axis, bounds).parts:
        rows = {source for row in range(*part.box[axis]) for source in seen(graph, axis, row)}
        if not rows:
            with pytest.raises(PlanError, match="nothing but padding"):
                reads(graph.model.graph[0], part.box)
            continue
        first, end = reads(graph.model.graph[0], part.box)["x"][axis]
        assert first <= min(rows)
        assert max(rows) < end
        if max(window["dilations"]) == 1:  # without holes, the bounds are the outermost taps
            assert (first, end - 1) == (min(rows), max(rows))


@given(window=windows(), data=st.data())
@QUICK
def test_convolutions_in_tiles_answer_like_the_whole(
    tmp_path: Path, window: dict[str, Any], data: st.DataObject
) -> None:
    graph = net(tmp_path, "Conv", window)
    axis = data.draw(st.sampled_from([2, 3]))
    tiled(graph, axis, bounds_in(data, graph.tensors["y"].shape[axis]))


@given(window=windows(), kind=st.sampled_from(["MaxPool", "AveragePool"]), data=st.data())
@QUICK
def test_pools_in_tiles_answer_like_the_whole(
    tmp_path: Path, window: dict[str, Any], kind: str, data: st.DataObject
) -> None:
    more = {"ceil_mode": data.draw(st.integers(0, 1))}
    if kind == "AveragePool":
        more["count_include_pad"] = data.draw(st.integers(0, 1))
    graph = net(tmp_path, kind, window, **more)
    axis = data.draw(st.sampled_from([2, 3]))
    bounds = bounds_in(data, graph.tensors["y"].shape[axis])
    tiled(graph, axis, bounds)


def vgg_blocks(folder: Path) -> Graph:
    """Two blocks conv, conv, pool at 224 × 224, as many channels as VGG has."""
    nodes, weights, last, width = [], {}, "x", 3
    for block, wide in enumerate((64, 128)):
        for layer in range(2):
            name = f"c{block}{layer}"
            weights[f"w{name}"] = np.zeros((wide, width, 3, 3), np.float32)
            nodes.append(node("Conv", f"{last} w{name}", name, pads=[1, 1, 1, 1]))
            last, width = name, wide
        nodes.append(node("MaxPool", last, f"p{block}", kernel_shape=[2, 2], strides=[2, 2]))
        last = f"p{block}"
    return small(folder, nodes, {"x": [1, 3, 224, 224]}, last, weights)


@pytest.mark.parametrize(("strips", "rows", "work"), [(2, 236, 1.018), (4, 260, 1.055), (8, 308, 1.128)])
def test_two_blocks_of_vgg_in_strips(tmp_path: Path, strips: int, rows: int, work: float) -> None:
    """The figures of Tang et al.'s example, worked out by hand: input rows in total, and work against undivided."""
    from shoal.plan.strategies.tile import stack_of, tiled

    graph = vgg_blocks(tmp_path)
    shares = [1.0] * strips
    stack, _ = stack_of(graph, 2, shares)
    splits = tiled(graph, stack, 2, shares, 0)
    assert {split.op for split in splits} == set(graph.position)
    first = next(split for split in splits if split.op == "c00")
    node_of_first = graph.model.graph[0]
    read = [reads(node_of_first, part.box)["x"][2] for part in first.parts]
    assert sum(end - begin for begin, end in read) == rows
    assert divide(graph, splits).graph.macs / graph.macs == pytest.approx(work, abs=5e-4)
