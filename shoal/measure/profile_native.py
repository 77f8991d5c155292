"""What each op costs in the engine `native`: its products one by one, the rest as in onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from shoal.engines.native import Native, NativeSession
from shoal.graph import Graph
from shoal.measure.clocked import Spread, clocked, own_clock
from shoal.program import Program, Segment, TensorSpec

LEAST_S = 0.5  # how long a quick model is repeated
NOTHING = Spread(0.0, 0.0, 0.0, 0)


def native_spreads(
    graph: Graph, others: Mapping[str, float], threads: int, repeats: int
) -> tuple[list[Spread], Spread]:
    """The spread of every op and of the whole model.

    Args:
        graph: bound to its shapes.
        others: seconds of ops in onnxruntime, for those that it runs here too.
        threads: within an op.
        repeats: timed runs.
    """
    tensors = {name: TensorSpec(each.dtype, each.shape) for name, each in graph.tensors.items()}
    program = Program(graph.name, ("here/cpu",), (), (), (), 1, tensors)
    finals = (*graph.outputs, *(each.output for each in graph.carried))
    source = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="shoal-profile-") as folder:
        files = Native().write(graph, list(graph.position), Path(folder), "model")
        segment = Segment("model", "here/cpu", graph.given, finals, "native", files=files)
        session = Native().load(program, segment, Path(folder), threads)
        feeds = {
            name: np.asarray(source.standard_normal(spec.bound({})) if spec.dtype.startswith("float")
                             else np.ones(spec.bound({})), spec.dtype)
            for name, spec in tensors.items() if name in graph.given
        }  # fmt: skip
        timer = own_clock(threads)
        whole = clocked(lambda: session.run(feeds, {}), repeats, least_s=LEAST_S, timer=timer)
        own = _products(graph, session, threads, repeats)
    spreads = [
        NOTHING if op.kind == "Decode" else own.get(op.name) or _alike(others[op.name], repeats) for op in graph.ops
    ]
    return spreads, whole


def _products(graph: Graph, session: NativeSession, threads: int, repeats: int) -> dict[str, Spread]:
    """The spread of each product on codes, by op."""
    source, found = np.random.default_rng(1), {}
    for product in session.products:
        x = source.standard_normal(graph.tensors[product.input].shape).astype(np.float32)
        found[product.output] = clocked(partial(product.of, x, "", threads), repeats, timer=own_clock(threads))
    return found


def _alike(seconds: float, repeats: int) -> Spread:
    return Spread(seconds, seconds, seconds, repeats)
