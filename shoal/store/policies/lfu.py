"""What was used least leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shoal.store.values import Key


@dataclass(frozen=True)
class Lfu:
    """Least frequently used first, of equals the one that was not used for longest."""

    def keeper(self, keys: Collection[Key], uses: Sequence[Key] | None = None) -> Counted:
        """See `Policy`."""
        return Counted()


class Counted:
    """How often and when keys were used."""

    def __init__(self) -> None:
        self._times: Counter[Key] = Counter()
        self._last: dict[Key, int] = {}
        self._uses = 0

    def used(self, key: Key) -> None:
        """See `Keeper`."""
        self._times[key] += 1
        self._uses += 1
        self._last[key] = self._uses

    def victim(self, among: Collection[Key]) -> Key:
        """See `Keeper`."""
        return min(among, key=lambda key: (self._times[key], self._last.get(key, 0), key))
