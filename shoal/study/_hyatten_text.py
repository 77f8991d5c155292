"""MiniLM on passages, as a network whose attention can be in light."""

from __future__ import annotations

import numpy as np

from shoal.machines.accelerators import Array
from shoal.study._hyatten_network import Network


def cosines(one: Array, other: Array) -> Array:
    """Of rows of unit length."""
    return np.asarray((one * other).sum(1), np.float64)


def encoder(items: int, tokens: int, skipped: int = 0) -> Network:
    """MiniLM on passages of so many tokens each.

    Raises:
        InputError: the repository's examples, which build it, are not here.
    """
    from shoal.graph import load
    from shoal.study._prose import passages
    from shoal.study._repository import beside

    model = beside("examples.models.minilm")
    graph = load(model.model(), sizes={"batch": 1, "tokens": tokens})
    texts = passages(items + skipped)[skipped:]
    return Network(graph, [model.encode([text], tokens) for text in texts], "sentence_embedding")
