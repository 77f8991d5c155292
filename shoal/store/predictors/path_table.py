"""What tokens that had come the same way went to next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.errors import InputError
from shoal.store.contract import Chosen, Scores
from shoal.store.fading import Fading
from shoal.store.routes import RoutingTrace

Path = tuple[int, tuple[tuple[int, ...], ...]]  # layer, the sets of experts before it, the nearest last


@dataclass(frozen=True)
class PathTable:
    """Counts by the sets of experts of the layers before; where a way is new, of a shorter one, at last of none.

    [Yi et al., "EdgeMoE", 2023, section 3.3]
    """

    depth: int = 2  # layers looked back
    decay: float = 0.99  # of a way's counts whenever it is seen again while running

    def __post_init__(self) -> None:
        if self.depth < 1 or not 0 < self.decay <= 1:
            raise InputError("a way has a layer at least, a decay is above 0 and at most 1", where="path_table",
                             had=f"{self.depth}, {self.decay:g}")  # fmt: skip

    def learned(self, trace: RoutingTrace) -> Ways:
        """See `Predictor`."""
        ways = Ways(self.depth, trace.experts)
        for token in trace.chosen.tolist():
            for layer, chosen in enumerate(token):
                ways.count(layer, token[:layer], chosen, 1.0)
        ways.decay = self.decay
        return ways


class Ways:
    """Counts of experts by the way that led there."""

    asks_router = False

    def __init__(self, depth: int, experts: int) -> None:
        self._depth, self._experts = depth, experts
        self._counts: dict[Path, Fading[int]] = {}
        self.decay = 1.0

    def scores(self, layer: int, past: Sequence[Chosen], foreseen: Chosen) -> Scores:
        """See `Guess`. Shares of the longest way that is known."""
        for way in self._ways(layer, past):
            known = self._counts.get(way)
            if known is not None:
                counts = np.array([known.counts.get(each, 0.0) for each in range(self._experts)])
                found: Scores = counts / counts.sum()
                return found
        return np.full(self._experts, 1 / self._experts)

    def saw(self, layer: int, past: Sequence[Chosen], chosen: Chosen) -> None:
        """See `Guess`."""
        self.count(layer, past, chosen, self.decay)

    def count(self, layer: int, past: Sequence[Chosen], chosen: Chosen, decay: float) -> None:
        """One token more, by every length of its way."""
        for way in self._ways(layer, past):
            self._counts.setdefault(way, Fading()).add(chosen, decay)

    def _ways(self, layer: int, past: Sequence[Chosen]) -> list[Path]:
        """The longest first."""
        sets = tuple(tuple(sorted(each)) for each in past[-self._depth :])
        return [(layer, sets[at:]) for at in range(len(sets) + 1)]
