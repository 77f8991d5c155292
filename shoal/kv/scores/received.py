"""Attention that a token is paid by those that can see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.kv.scores.contract import F32


@dataclass(frozen=True)
class Received:
    """score_j = Σ over heads and i ≥ j of P[i, j], over the n − j tokens that see it, so that late ones are not behind."""

    def of(self, attention: F32) -> F32:
        """See `Score.of`."""
        tokens = attention.shape[-1]
        found: F32 = attention.sum(axis=(-3, -2)) / np.arange(tokens, 0, -1, dtype=np.float32)
        return found
