"""Bits of experts leave before experts do: the highest plane of the coldest one first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shoal.errors import InputError
from shoal.store.values import Key

Expert = tuple[int, int]  # layer, part


@dataclass(frozen=True)
class ColdestPlane:
    """Upper planes before any first one; among each, those of the part that is seldom used, or needed after many layers.

    Memory that falls short costs precision, or another read of a bit, not whole experts. A part of the layer at work
    that was used already is furthest; one that was not may still come. [after "D²MoE", arXiv 2504.15299; the score is a
    choice, as in `distance`]
    """

    decay: float = 0.999  # of every count, at each use: what was long ago fades

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise InputError("a decay is above 0 and at most 1", where="coldest_plane", had=f"{self.decay:g}")

    def keeper(self, keys: Collection[Key], uses: Sequence[Key] | None = None) -> Warmth:
        """See `Policy`."""
        return Warmth(1 + max(key.layer for key in keys), self.decay)


class Warmth:
    """How often parts were used, and what the layer at work has used already."""

    def __init__(self, layers: int, decay: float) -> None:
        self._layers, self._decay = layers, decay
        self._now, self._weight = -1, 1.0
        self._done: set[Expert] = set()
        self._times: defaultdict[Expert, float] = defaultdict(float)

    def used(self, key: Key) -> None:
        """See `Keeper`. All planes that a part is used with count as much as it is used."""
        if key.layer != self._now:
            self._now, self._done = key.layer, set()
        self._done.add(key[:2])
        self._weight /= self._decay  # instead of shrinking all counts
        if self._weight > 1e100:
            self._times = defaultdict(float, {each: times / self._weight for each, times in self._times.items()})
            self._weight = 1.0
        self._times[key[:2]] += self._weight

    def victim(self, among: Collection[Key]) -> Key:
        """See `Keeper`."""
        return min(among, key=lambda key: (key.plane == 0, self._warmth(key), -key.plane, key))

    def _warmth(self, key: Key) -> float:
        if key.layer == self._now:
            away = self._layers - 1 if key[:2] in self._done else 0
        else:
            away = (key.layer - self._now - 1) % self._layers
        return self._times[key[:2]] / (1 + away)
