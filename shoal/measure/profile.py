"""What each op of a model costs on this machine, as Samples whose sum is the time of the whole model.

onnxruntime's own profiler tells the seconds of each node it really runs. Those nodes are fused and reordered
forms of the graph's ops; `attribute` finds the op that each stands for. Timing ops one by one would miss just
that: a convolution with its normalisation and activation costs what the convolution costs alone.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.engines import onnxruntime_form
from shoal.errors import InputError
from shoal.graph import Graph, extract, save
from shoal.measure.attribute import Node, owners
from shoal.measure.clocked import Spread, clocked, own_clock, spread
from shoal.measure.machine import machine_id
from shoal.measure.profile_native import native_spreads
from shoal.measure.profile_ncnn import ncnn_spreads
from shoal.measure.subject import op_subject
from shoal.record import Sample

Feeds = Mapping[str, NDArray[Any]]
LEAST_S = 0.5  # how long a quick model is repeated
EVENT_SUFFIX = "_kernel_time"


def profile_ops(
    graph: Graph, engine: str = "onnxruntime", threads: int = 1, repeats: int = 15
) -> tuple[Sample, ...]:
    """Samples of every op of `graph`, in its order; they add up to the whole model's median.

    An op that the engine fuses into another costs 0. For a model that the engine cannot take, each Sample has no
    repeats: that too is kept, so that it is not tried again.

    Args:
        graph: bound to the shapes it is to be measured at.
        engine: "onnxruntime", "native" or "ncnn".
        threads: within an op.
        repeats: timed runs at least, after two for warm-up.

    Raises:
        InputError: no profile can be had of that engine.
        MissingExtra: the engine is not installed.
    """
    if engine == "onnxruntime":
        return onnxruntime_samples(graph, threads, repeats)
    if engine == "ncnn":
        return ncnn_samples(graph, threads, repeats)
    if engine == "native":
        return native_samples(graph, threads, repeats)
    raise InputError(f"engine '{engine}' tells nothing of its ops", hint="profile onnxruntime, native or ncnn")


def onnxruntime_samples(graph: Graph, threads: int, repeats: int) -> tuple[Sample, ...]:
    """See `profile_ops`."""
    with tempfile.TemporaryDirectory(prefix="shoal-profile-") as folder:
        model = Path(folder, "model.onnx")
        _write_numbered(graph, model)
        feeds = random_feeds(graph)
        kept = {each.output: each.input for each in graph.carried if each.rows}
        whole = _plain(model, feeds, kept, threads, repeats)
        nodes, runs_s = _profiled(model, feeds, kept, threads, whole.repeats, Path(folder))
    owner = owners(graph, nodes)
    per_op: NDArray[np.float64] = np.zeros((len(runs_s), len(graph.ops)))
    for row, times_s in zip(per_op, runs_s, strict=True):
        for index, seconds in zip(owner, times_s, strict=True):
            row[index] += seconds
    return samples_of(graph, [spread(column) for column in per_op.T.tolist()], whole, "onnxruntime", threads)


def ncnn_samples(graph: Graph, threads: int, repeats: int) -> tuple[Sample, ...]:
    """See `profile_ops`."""
    shares = [sample.median_s for sample in onnxruntime_samples(graph, threads, min(repeats, 5))]
    found = ncnn_spreads(graph, shares, threads, repeats)
    nothing = Spread(0.0, 0.0, 0.0, 0)
    spreads, whole = found or ([nothing] * len(graph.ops), nothing)
    return samples_of(graph, spreads, whole, "ncnn", threads)


def native_samples(graph: Graph, threads: int, repeats: int) -> tuple[Sample, ...]:
    """See `profile_ops`."""
    others = {
        op.name: sample.median_s
        for op, sample in zip(graph.ops, onnxruntime_samples(graph, threads, min(repeats, 5)), strict=True)
    }
    spreads, whole = native_spreads(graph, others, threads, repeats)
    return samples_of(graph, spreads, whole, "native", threads)


def samples_of(
    graph: Graph, spreads: Sequence[Spread], whole: Spread, engine: str, threads: int
) -> tuple[Sample, ...]:
    """`spreads` of the graph's ops as Samples, scaled so that their medians add up to that of `whole`."""
    total_s = sum(each.median_s for each in spreads)
    factor = whole.median_s / total_s if total_s else 0.0
    return tuple(
        Sample(
            op_subject(graph.identity, op.name), machine_id(), engine, "float32", threads,
            each.median_s * factor, each.low_s * factor, each.high_s * factor, whole.repeats,
        )
        for op, each in zip(graph.ops, spreads, strict=True)
    )  # fmt: skip


def random_feeds(graph: Graph) -> dict[str, NDArray[Any]]:
    """Inputs of the graph's types and shapes: normal floats, and ones for whole numbers, which index safely."""
    source = np.random.default_rng(0)
    feeds: dict[str, NDArray[Any]] = {}
    for name in graph.given:
        tensor = graph.tensors[name]
        dtype = np.dtype(tensor.dtype)
        floating = np.issubdtype(dtype, np.floating)
        values = source.standard_normal(tensor.shape) if floating else np.ones(tensor.shape)
        feeds[name] = np.asarray(values, dtype=dtype)
    return feeds


def _write_numbered(graph: Graph, path: Path) -> None:
    """Write the model, each node named after its op's place, by which optimised nodes are known."""
    model = extract(graph, graph.position)
    for index, node in enumerate(model.graph):
        node.name = f"#{index}#"
    save(onnxruntime_form(model), path)


def _options(threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # faults come as exceptions; warnings about saved models concern nobody
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return options


def _call(session: Any, feeds: Feeds, kept: Mapping[str, str]) -> Callable[[], object]:
    """One run; outputs of `kept` are written where the inputs they name are, as workers have it."""
    if not kept:
        return lambda: session.run(None, dict(feeds))
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    for output in session.get_outputs():
        if output.name in kept:
            array = feeds[kept[output.name]]
            binding.bind_output(output.name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        else:
            binding.bind_output(output.name)
    return lambda: session.run_with_iobinding(binding)


def _plain(model: Path, feeds: Feeds, kept: Mapping[str, str], threads: int, repeats: int) -> Spread:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), _options(threads), providers=["CPUExecutionProvider"])
    timer = own_clock(threads)
    return clocked(_call(session, feeds, kept), repeats, least_s=LEAST_S, timer=timer)


def _profiled(
    model: Path, feeds: Feeds, kept: Mapping[str, str], threads: int, repeats: int, folder: Path
) -> tuple[list[Node], list[list[float]]]:
    """The nodes as they run, and their seconds in each run."""
    import onnxruntime

    options = _options(threads)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    warm_up = 2
    call = _call(session, feeds, kept)
    for _ in range(warm_up + repeats):
        call()
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    kernels = [event for event in events if event.get("name", "").endswith(EVENT_SUFFIX)]
    count = len(kernels) // (warm_up + repeats)
    runs = [kernels[start : start + count] for start in range(0, len(kernels), count)][warm_up:]
    names = [event["name"].removesuffix(EVENT_SUFFIX) for event in runs[0]]
    kinds = [event["args"]["op_name"] for event in runs[0]]
    outputs = _outputs(folder / "optimised.onnx")
    nodes = [Node(name, kind, outputs.get(name, ())) for name, kind in zip(names, kinds, strict=True)]
    return nodes, [[event["dur"] * 1e-6 for event in run] for run in runs]


def _outputs(model: Path) -> dict[str, tuple[str, ...]]:
    """The outputs of each node of the optimised model, by the node's name."""
    import onnx

    nodes = onnx.load(model, load_external_data=False).graph.node
    return {node.name: tuple(node.output) for node in nodes}
