"""What the order of layers, in a circle, comes back to last leaves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shoal.store.values import Key


@dataclass(frozen=True)
class Cyclic:
    """For models whose every layer is used at every step: as good as the oracle, and nobody has to tell it the uses."""

    def keeper(self, keys: Collection[Key], uses: Sequence[Key] | None = None) -> Turning:
        """See `Policy`."""
        return Turning(sorted(keys))


class Turning:
    """Where in the circle the model is."""

    def __init__(self, order: Sequence[Key]) -> None:
        self._places = {key: at for at, key in enumerate(order)}
        self._now = -1

    def used(self, key: Key) -> None:
        """See `Keeper`."""
        self._now = self._places[key]

    def victim(self, among: Collection[Key]) -> Key:
        """See `Keeper`."""
        return max(among, key=lambda key: (self._places[key] - self._now - 1) % len(self._places))
