"""Any experts: what a predictor has to be better than."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.store.contract import Chosen, Scores
from shoal.store.routes import RoutingTrace


@dataclass(frozen=True)
class Random:
    """Drawn evenly, from a seed."""

    seed: int = 0

    def learned(self, trace: RoutingTrace) -> Drawn:
        """See `Predictor`."""
        return Drawn(trace.experts, self.seed)


class Drawn:
    """One draw after another."""

    asks_router = False

    def __init__(self, experts: int, seed: int) -> None:
        self._experts, self._source = experts, np.random.default_rng(seed)

    def scores(self, layer: int, past: Sequence[Chosen], foreseen: Chosen) -> Scores:
        """See `Guess`."""
        return self._source.random(self._experts)

    def saw(self, layer: int, past: Sequence[Chosen], chosen: Chosen) -> None:
        """See `Guess`."""
