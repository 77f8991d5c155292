"""What the layer's own router says of the state one layer before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.errors import InputError
from shoal.store.contract import Chosen, Scores
from shoal.store.routes import NOBODY, RoutingTrace


@dataclass(frozen=True)
class NextRouter:
    """A layer adds little to the state, so its router can be asked before: nothing is learned.

    Where it was not asked, all experts are alike. [Eliseev, Mazur, "Fast Inference of Mixture-of-Experts Language Models
    with Offloading", 2023]
    """

    def learned(self, trace: RoutingTrace) -> Asked:
        """See `Predictor`."""
        if trace.layers > 1 and (trace.foreseen[:, 1:] == NOBODY).any():
            raise InputError("no router was asked beforehand when this was recorded", where="next_router")
        return Asked(trace.experts)


class Asked:
    """Reads what was foreseen, the first most likely."""

    asks_router = True

    def __init__(self, experts: int) -> None:
        self._experts = experts

    def scores(self, layer: int, past: Sequence[Chosen], foreseen: Chosen) -> Scores:
        """See `Guess`."""
        found: Scores = np.zeros(self._experts)
        for rank, expert in enumerate(foreseen):
            if expert != NOBODY:
                found[expert] = 1 / (1 + rank)
        return found

    def saw(self, layer: int, past: Sequence[Chosen], chosen: Chosen) -> None:
        """See `Guess`."""
