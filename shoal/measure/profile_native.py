"""What each op costs in the engine `native`: its products one by one, the rest as in onnxruntime."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from shoal.engines._stages import products
from shoal.engines.native import Native, NativeSession
from shoal.graph import Graph
from shoal.measure.alone import segment_feeds
from shoal.measure.clocked import Spread, clocked, own_clock
from shoal.measure.segment import whole_segment

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
    with tempfile.TemporaryDirectory(prefix="shoal-profile-") as folder:
        program, segment = whole_segment(graph, "native", Path(folder))
        session = Native().load(program, segment, Path(folder), threads)
        feeds = segment_feeds(program, segment)
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
        alone = partial(products, (product,), {product.input: x}, "", threads)
        found[product.output] = clocked(alone, repeats, timer=own_clock(threads))
    return found


def _alike(seconds: float, repeats: int) -> Spread:
    return Spread(seconds, seconds, seconds, repeats)
