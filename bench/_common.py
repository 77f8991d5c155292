"""What the benches share: models, plans on this machine, plain loops to compare with, and rounds."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.models import light
from shoal import fleet, graph, plan
from shoal.graph import Graph
from shoal.measure import load_table, profile_ops, table_path
from shoal.plan import Front, ModelRef, Wishes
from shoal.plan.costs import costs_of

FLEETS = Path(__file__).parent.parent / "examples" / "fleets"


def model(name: str) -> tuple[Graph, ModelRef]:
    """A light model with seeded weights."""
    path = light.seeded(name)
    loaded = graph.load(path)
    return loaded, ModelRef(name, str(path), loaded.sha256)


def one_core() -> fleet.Fleet:
    """This machine's first core as the only device."""
    return fleet.loads('[devices.left]\nboard = "this-machine"\ncores = [0]\n')


def two_cores() -> fleet.Fleet:
    """This machine as two devices of one core each."""
    return fleet.load(FLEETS / "two_cores.toml")


def front(name: str, machines: fleet.Fleet, wishes: Wishes | None = None) -> Front:
    """The plans of a light model on `machines`, its ops measured here."""
    loaded, reference = model(name)
    return plan.search(loaded, reference, machines, costs_of(loaded, machines), wishes or Wishes())


def profile(name: str, engines: Sequence[str] = ("onnxruntime",)) -> None:
    """Measure a light model's ops anew on one thread: a table made on a busy machine cuts in the wrong place."""
    loaded, _ = model(name)
    path = table_path(loaded.identity)
    for engine in engines:
        load_table(path).merge(profile_ops(loaded, engine)).save(path)


def inputs_of(loaded: Graph) -> dict[str, NDArray[Any]]:
    """Seeded inputs."""
    source = np.random.default_rng(0)
    specs = {name: loaded.tensors[name] for name in loaded.inputs}
    return {name: source.standard_normal(spec.shape).astype(spec.dtype) for name, spec in specs.items()}


def onnxruntime_period_s(path: str, feeds: Mapping[str, NDArray[Any]], items: int, core: int = 0) -> float:
    """Seconds an item of a plain onnxruntime loop on one thread pinned to `core`."""
    import onnxruntime

    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return timed(lambda: session.run(None, dict(feeds)), items)
    finally:
        os.sched_setaffinity(0, before)


def timed(work: Callable[[], object], items: int) -> float:
    """Mean seconds of `work` over `items` calls, after two for warm-up."""
    work()
    work()
    start = time.perf_counter()
    for _ in range(items):
        work()
    return (time.perf_counter() - start) / items


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Median with smallest and largest."""
    return f"{statistics.median(values):.3f} ({min(values):.3f}…{max(values):.3f})"
