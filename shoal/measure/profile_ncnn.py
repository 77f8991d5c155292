"""What each op costs in ncnn, which has no profiler: the time to get as far as each legal cut.

The whole model is converted once, with the tensor at every cut as a further output. ncnn works out only what an
output needs, so extracting one after the other takes the time of the ops in between; within a stretch the ops
share it as they do in onnxruntime.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.engines.ncnn import Ncnn
from shoal.errors import MissingExtra, ModelError, WorkError
from shoal.graph import Graph, cuts
from shoal.measure.clocked import Spread, spread

Times = NDArray[np.float64]
WARM_UP = 2
_NOTHING = 1e-12  # so that a stretch of ops that cost nothing can be shared out too


def stretches(graph: Graph) -> list[tuple[str, range]]:
    """The legal cuts that one tensor crosses, and the end: tensor, and the places of the ops since the last."""
    found, start = [], 0
    for cut in cuts(graph):
        found.append((cut.tensors[0], range(start, cut.after + 1)))
        start = cut.after + 1
    return [*found, ("", range(start, len(graph.ops)))]


def ncnn_spreads(
    graph: Graph, shares: Sequence[float], threads: int, repeats: int
) -> tuple[list[Spread], Spread] | None:
    """The spread of every op and of the whole model, or None for a model that ncnn cannot take.

    Args:
        graph: bound to its shapes.
        shares: of the ops within a stretch, in any unit: their seconds in onnxruntime.
        threads: within an op.
        repeats: timed runs.

    Raises:
        MissingExtra: ncnn or its converter is not installed.
    """
    if find_spec("ncnn") is None:
        raise MissingExtra("ncnn", "ncnn")
    parts = stretches(graph)
    tapped = dataclasses.replace(graph, outputs=(*(name for name, _ in parts[:-1]), *graph.outputs))
    with tempfile.TemporaryDirectory(prefix="shoal-profile-") as folder:
        try:
            files = Ncnn().write(tapped, list(graph.position), Path(folder), "model")
        except ModelError:
            return None
        times_s = _timed(graph, [Path(folder, name) for name in files], parts, threads, repeats)
    per_op = np.zeros((repeats, len(graph.ops)))
    for column, (_, places) in zip(times_s.T, parts, strict=True):
        weight = np.array([shares[place] for place in places]) + _NOTHING
        per_op[:, places.start : places.stop] = np.outer(column, weight / weight.sum())
    return [spread(column) for column in per_op.T.tolist()], spread(times_s.sum(axis=1).tolist())


def _timed(
    graph: Graph, files: Sequence[Path], parts: Sequence[tuple[str, range]], threads: int, repeats: int
) -> Times:
    """Seconds of each stretch in each run, shape (repeats, number of stretches)."""
    net = _net(files[0], files[1], threads)
    layout = json.loads(files[2].read_bytes())
    blobs = {blob["tensor"]: blob["name"] for blob in layout["outputs"]}
    taps = [[blobs[name]] for name, _ in parts[:-1]] + [[blobs[name] for name in graph.outputs]]
    inputs = {blob["name"]: _input(blob) for blob in layout["inputs"]}
    runs = [_run(net, inputs, taps) for _ in range(WARM_UP + repeats)]
    return np.array(runs[WARM_UP:])


def _run(net: Any, inputs: Mapping[str, Any], taps: Sequence[Sequence[str]]) -> list[float]:
    extractor = net.create_extractor()
    for name, mat in inputs.items():
        extractor.input(name, mat.clone())  # layers may work in place
    times_s, before_s = [], time.perf_counter()
    for blobs in taps:
        for blob in blobs:
            extractor.extract(blob)
        now_s = time.perf_counter()
        times_s.append(now_s - before_s)
        before_s = now_s
    return times_s


def _net(param: Path, weights: Path, threads: int) -> Any:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
        setattr(net.opt, f"use_{option}", False)
    if net.load_param(str(param)) or net.load_model(str(weights)):
        raise WorkError("ncnn does not load what was just converted for it", where=str(param))
    return net


def _input(blob: Mapping[str, Any]) -> Any:
    import ncnn

    values = np.random.default_rng(0).standard_normal(blob["shape"]).astype(np.float32)
    return ncnn.Mat(values[0] if blob["batched"] else values).clone()
