"""A layer of experts with weights of a seed, and what it gives in one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.llm.expert_parallel import Ways, Workers, workers
from shoal.llm.expert_parallel.experts import Expert

Array = NDArray[Any]
WIDTH, HIDDEN = 16, 24


def experts(count: int, seed: int = 0) -> list[Expert]:
    source = np.random.default_rng(seed)
    return [
        Expert(
            source.standard_normal((2 * HIDDEN, WIDTH)).astype(np.float32) / 4,
            source.standard_normal((WIDTH, HIDDEN)).astype(np.float32) / 4,
        )
        for _ in range(count)
    ]


def alone(held: list[Expert], x: Array, chosen: Array, gates: Array) -> Array:
    """Token by token, in float64."""
    made = np.zeros(x.shape)
    for token, (mine, shares) in enumerate(zip(chosen, gates, strict=True)):
        for number, share in zip(mine, shares, strict=True):
            if number < len(held):
                gate, up = np.split(held[number].gate_up.astype(np.float64) @ x[token], 2)
                made[token] += share * (held[number].down @ (gate / (1 + np.exp(-gate)) * up))
    return made


def tokens(count: int, number: int, per_token: int = 2, seed: int = 1) -> tuple[Array, Array, Array]:
    source = np.random.default_rng(seed)
    x = source.standard_normal((number, WIDTH)).astype(np.float32)
    chosen = np.argsort(source.random((number, count)), axis=1)[:, :per_token]
    return x, chosen, source.random((number, per_token)).astype(np.float32)


@contextmanager
def layer(native: Array, held: list[Expert], **ways: Any) -> Iterator[Workers]:
    with workers(native[None], ways=Ways(**ways)) as there:
        for number, each in enumerate(held):
            there.hold(0, number, each)
        yield there
