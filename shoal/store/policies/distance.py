"""What is seldom used, or used again only after many layers, leaves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shoal.errors import InputError
from shoal.store.fading import Fading
from shoal.store.values import Key


@dataclass(frozen=True)
class Distance:
    """By how often a key was used over how many layers away its next use is, the layers in a circle.

    After a layer its own keys are furthest. With keys that are all used as often this is the best there is for a
    cyclic order. [after Yi et al., "EdgeMoE", 2023, section 3.4; the form of the score is a choice]
    """

    decay: float = 1.0  # of every count, at each use of any key: below 1 the past fades

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise InputError("a decay is above 0 and at most 1", where="distance", had=f"{self.decay:g}")

    def keeper(self, keys: Collection[Key], uses: Sequence[Key] | None = None) -> Circled:
        """See `Policy`."""
        return Circled(1 + max(key.layer for key in keys), self.decay)


class Circled:
    """Counts of uses, and the layer at work."""

    def __init__(self, layers: int, decay: float) -> None:
        self._layers, self._decay = layers, decay
        self._now, self._times = -1, Fading[Key]()

    def used(self, key: Key) -> None:
        """See `Keeper`."""
        self._now = key.layer
        self._times.add((key,), self._decay)

    def victim(self, among: Collection[Key]) -> Key:
        """See `Keeper`."""
        times = self._times.counts
        return min(
            among, key=lambda key: (times.get(key, 0.0) / (1 + (key.layer - self._now - 1) % self._layers), key)
        )
