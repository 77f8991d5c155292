"""Tokens by expert: each expert is loaded once for all its tokens, and not at all without any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Chosen = NDArray[np.int64]  # (tokens, experts of a token): which


def best(shares: NDArray[np.int64], count: int) -> Chosen:
    """The largest of each row, the largest first; of equals the first, as insertion leaves them."""
    return np.argsort(-shares, axis=-1, kind="stable")[..., :count]


def queues(chosen: Chosen) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Of each expert that has any: its tokens, in order, and which of their choices it is."""
    return {int(each): np.nonzero(chosen == each) for each in np.unique(chosen)}  # type: ignore[misc]  # of two axes


@dataclass(frozen=True)
class Loads:
    """How often an expert's weights are fetched for an image in a layer."""

    tokens: int
    by_expert: int  # each non-empty expert once
    by_token: int  # each choice of each token
    by_token_kept: int  # the same, but for experts that are still in a buffer


def loads(chosen: Chosen, buffers: int = 2) -> Loads:
    """What the choices of an image's tokens cost, in either order."""
    wanted = [int(each) for each in chosen.reshape(-1)]
    return Loads(len(chosen), len(set(wanted)), len(wanted), _missed(wanted, buffers))


def _missed(wanted: Sequence[int], buffers: int) -> int:
    """Fetches, if the experts used last are kept."""
    kept: list[int] = []
    missed = 0
    for each in wanted:
        missed += each not in kept
        kept = [each, *(other for other in kept if other != each)][:buffers]
    return missed
