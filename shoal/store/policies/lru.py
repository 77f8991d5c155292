"""What was not used for longest leaves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shoal.store.values import Key


@dataclass(frozen=True)
class Lru:
    """Least recently used first. On a cyclic order longer than the budget it never hits."""

    def keeper(self, keys: Collection[Key], uses: Sequence[Key] | None = None) -> Recent:
        """See `Policy`."""
        return Recent()


class Recent:
    """When keys were used."""

    def __init__(self) -> None:
        self._last: dict[Key, int] = {}
        self._uses = 0

    def used(self, key: Key) -> None:
        """See `Keeper`."""
        self._uses += 1
        self._last[key] = self._uses

    def victim(self, among: Collection[Key]) -> Key:
        """See `Keeper`."""
        return min(among, key=lambda key: (self._last.get(key, 0), key))
