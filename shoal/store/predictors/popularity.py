"""The experts that were chosen most, in every layer by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.store.contract import Chosen, Scores
from shoal.store.routes import RoutingTrace


@dataclass(frozen=True)
class Popularity:
    """Shares of the text that was learned from."""

    def learned(self, trace: RoutingTrace) -> Shares:
        """See `Predictor`."""
        return Shares(trace.loads())


class Shares:
    """How often each expert is chosen."""

    asks_router = False

    def __init__(self, loads: NDArray[np.int64]) -> None:
        self._shares = loads / loads.sum(axis=1, keepdims=True)

    def scores(self, layer: int, past: Sequence[Chosen], foreseen: Chosen) -> Scores:
        """See `Guess`."""
        found: Scores = self._shares[layer]
        return found

    def saw(self, layer: int, past: Sequence[Chosen], chosen: Chosen) -> None:
        """See `Guess`."""
