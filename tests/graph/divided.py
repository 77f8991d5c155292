"""Divided graphs held against undivided ones: the same answers, and the bytes that cross between parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort

from shoal.graph import Divided, Graph, Part, Split, divide, load
from shoal.graph.box import along, full
from shoal.graph.flow import transfer_bytes
from tests.graph.models import info, model, write

Arrays = Mapping[str, npt.NDArray[Any]]
CLOSE = 1e-5  # of the largest magnitude


def small(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int]],
    outputs: str,
    weights: Mapping[str, npt.NDArray[Any]] | None = None,
    opset: int = 17,
) -> Graph:
    """A small model, written and loaded."""
    entries = [info(name, shape) for name, shape in inputs.items()]
    made = model(nodes, entries, outputs.split(), dict(weights or {}), opset)
    return load(write(made, folder))


def run(graph: Graph, feeds: Arrays) -> dict[str, npt.NDArray[Any]]:
    """What onnxruntime, as it comes, makes of it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(ir.serde.serialize_model(graph.model).SerializeToString(), options)
    return dict(zip(graph.outputs, session.run(list(graph.outputs), dict(feeds)), strict=True))


@lru_cache(maxsize=4)
def answers(graph: Graph, seed: int = 0) -> tuple[Arrays, Arrays]:
    """Drawn inputs, and what the graph makes of them."""
    source = np.random.default_rng(seed)
    feeds = {
        name: source.standard_normal(graph.tensors[name].shape).astype(graph.tensors[name].dtype)
        for name in graph.inputs
    }
    return feeds, run(graph, feeds)


def check(graph: Graph, splits: Sequence[Split], home: int = 0) -> Divided:
    """The graph divided so, once its answers and its bytes are found to be right."""
    divided = divide(graph, tuple(splits), home)
    feeds, wanted = answers(graph)
    made = run(divided.graph, feeds)
    for name, array in wanted.items():
        assert made[name].shape == array.shape
        np.testing.assert_allclose(made[name], array, rtol=0, atol=CLOSE * max(1e-9, float(np.abs(array).max())))
    assert set(divided.owners) == set(divided.graph.position)
    assert crossing(divided, home) == transfer_bytes(graph, splits, home)
    return divided


def crossing(divided: Divided, home: int = 0) -> int:
    """Bytes of the divided graph's tensors, once for each other part that reads one; inputs are read at home."""
    graph, total = divided.graph, 0
    for name, readers in graph.consumers.items():
        at = {divided.owners[graph.ops[index].name] for index in readers}
        if name in graph.inputs:
            assert at <= {home}
            continue
        maker = divided.owners[graph.ops[graph.producer[name]].name]
        total += len(at - {maker}) * graph.tensors[name].bytes
    return total


def cut(graph: Graph, op: str, axis: int, bounds: Sequence[int]) -> Split:
    """`op` with part i making [bounds[i], bounds[i + 1]) of `axis`."""
    shape = graph.tensors[op].shape
    parts = enumerate(itertools.pairwise(bounds))
    return Split(op, tuple(Part(owner, along(shape, axis, interval)) for owner, interval in parts))


def inside(graph: Graph, op: str, bounds: Sequence[int], home: int = 0) -> Split:
    """`op` as partial sums over [bounds[i], bounds[i + 1]) of its input channels, added up at home."""
    whole = full(graph.tensors[op].shape)
    parts = enumerate(itertools.pairwise(bounds))
    return Split(op, tuple(Part(owner, whole, interval) for owner, interval in parts), (Part(home, whole),))


def kinds(graph: Graph, ops: Iterable[str] | None = None) -> list[str]:
    """Operator types, of all ops or of these."""
    chosen = graph.position if ops is None else set(ops)
    return [op.kind for op in graph.ops if op.name in chosen]
