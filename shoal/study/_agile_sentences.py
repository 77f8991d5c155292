"""The same bits on a sentence encoder: how far its embeddings turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.compress import compress, layers_of, opened, weights_of
from shoal.compress.activations import telling
from shoal.compress.dynamic import insert_steps
from shoal.graph.build import from_model
from shoal.study._agile_rows import EIGHT_BITS, QUANTISERS, coder
from shoal.study._networks import TOKENS, network

if TYPE_CHECKING:
    import onnx_ir as ir

    from shoal.compress.quantisers._steps import Steps
    from shoal.graph import Graph
    from shoal.study._bench import Bench

Samples = Sequence[Mapping[str, NDArray[Any]]]
EMBEDDING = "sentence_embedding"
FITTED = 8  # passages that are calibrated with; the others are judged
PLACES = 512  # of a tensor that are looked at
SETTINGS = (  # name, format of weights (none: four bits as asked), quantiser of what products read
    ("W4A16", "", ""),
    ("W8A8", EIGHT_BITS, "per_token:bits=8"),
    ("W4A8", "", "per_token:bits=8"),
    ("W4A4", "", "per_token:bits=4"),
    ("W4A4 + TRIP", "", "trip:bits=4"),
)


def cosines(bench: Bench, four: str, passages: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Of each setting: the cosine between its embedding and float's, of each passage.

    Raises:
        InputError: the encoder is built by the repository's examples, which are not here.
    """
    found = network(bench, "minilm", passages + FITTED)
    graph = opened(Path(found.graph.source), sizes={"batch": 1, "tokens": TOKENS}, folder=bench.scratch)
    fitted, judged = found.samples[:FITTED], found.samples[FITTED:]
    plain = _embedded(graph, judged)
    models: dict[str, ir.Model] = {}
    for name, weights, quantiser in SETTINGS:
        bench.say(f"sentences: {name}")
        form = weights or four
        if form not in models:
            models[form] = compress(graph, [coder(form)], fitted).model
        model = models[form].clone()
        if quantiser:
            insert_steps(model, _steps(graph, quantiser, fitted))
        yield name, (_embedded(from_model(model, name, graph.source, ""), judged) * plain).sum(axis=1)


def _steps(graph: Graph, text: str, samples: Samples) -> dict[str, Steps]:
    """What rounds each tensor that layers read."""
    quantiser = catalog.make(QUANTISERS, text)
    readers: dict[str, list[NDArray[np.float32]]] = {}
    for layer in layers_of(graph):
        readers.setdefault(layer.input, []).append(weights_of(graph, layer))
    seen: dict[str, list[NDArray[np.float32]]] = {name: [] for name in readers}
    if quantiser.needs_samples:
        for name, number, x in telling(graph, tuple(readers), samples):
            flat = x.reshape(-1, x.shape[-1])
            drawn = np.random.default_rng(number).permutation(len(flat))[: PLACES // len(samples)]
            seen[name].append(flat[drawn])
    return {
        name: quantiser.fitted(np.concatenate(seen[name]) if seen[name] else None,
                               np.square(np.concatenate(matrices)).sum(axis=0))
        for name, matrices in readers.items()
    }  # fmt: skip


def _embedded(graph: Graph, samples: Samples) -> NDArray[np.float64]:
    """(passages, width), of unit length."""
    return np.concatenate([x for _, _, x in telling(graph, (EMBEDDING,), samples)]).astype(np.float64)
