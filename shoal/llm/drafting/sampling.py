"""What the next token is drawn from, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from shoal.llm.service import Sampling

F64 = NDArray[np.float64]
ROUNDING = 1e-12
Draw = Callable[[F64], int]  # a place of a distribution, by its probabilities


def distributions(sampling: Sampling, logits: NDArray[Any]) -> F64:
    """What tokens are drawn from: (…, vocabulary) of as many logits, the same for every drafter.

    Of equally likely tokens the lowest stay. Greedy is not meant.
    """
    scores = np.asarray(logits, np.float64)
    order = np.argsort(-scores, axis=-1, kind="stable")
    shares = np.take_along_axis(softmax(scores / sampling.temperature), order, axis=-1)
    shares[..., sampling.top_k or shares.shape[-1] :] = 0
    shares /= shares.sum(axis=-1, keepdims=True)
    before = np.cumsum(shares, axis=-1) - shares
    shares[before >= sampling.top_p * (1 - ROUNDING)] = 0
    found = np.zeros_like(shares)
    np.put_along_axis(found, order, shares / shares.sum(axis=-1, keepdims=True), axis=-1)
    return found


def softmax(scores: NDArray[Any]) -> F64:
    """Along the last axis, in float64."""
    shares = np.exp(np.asarray(scores, np.float64) - np.max(scores, axis=-1, keepdims=True))
    found: F64 = shares / shares.sum(axis=-1, keepdims=True)
    return found


def drawing(seed: int) -> Draw:
    """Draws of this seed."""
    source = np.random.default_rng(seed)

    def draw(p: F64) -> int:
        sums = np.cumsum(p)
        return int(np.searchsorted(sums[:-1], source.random() * sums[-1], side="right"))

    return draw
