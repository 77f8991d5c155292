"""Attention that a token pays to the first one. Source: Agile-Quant, arXiv 2312.05693, its public code."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.kv.scores.contract import F32


@dataclass(frozen=True)
class ToFirst:
    """score_i = Σ over heads of P[i, 0]."""

    def of(self, attention: F32) -> F32:
        """See `Score.of`."""
        found: F32 = attention[..., 0].sum(axis=-2)
        return found
