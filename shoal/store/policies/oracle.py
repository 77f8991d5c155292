"""What is used again last leaves: the bound that nothing can exceed, for who knows all uses."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shoal.errors import InputError
from shoal.store.values import Key


@dataclass(frozen=True)
class Oracle:
    """Furthest next use first. [Belady, "A study of replacement algorithms", 1966: the fewest reads, of records alike]"""

    def keeper(self, keys: Collection[Key], uses: Sequence[Key] | None = None) -> Foretold:
        """See `Policy`."""
        if uses is None:
            raise InputError("the oracle has to be told all uses", where="oracle", hint="replay a recorded trace")
        return Foretold(uses)


class Foretold:
    """All uses, and how many of them have been."""

    def __init__(self, uses: Sequence[Key]) -> None:
        self._places: dict[Key, list[int]] = {}
        for at, key in enumerate(uses):
            self._places.setdefault(key, []).append(at)
        self._now = 0

    def used(self, key: Key) -> None:
        """See `Keeper`."""
        self._now += 1

    def victim(self, among: Collection[Key]) -> Key:
        """See `Keeper`."""
        return max(among, key=lambda key: (self._next(key), key))

    def _next(self, key: Key) -> float:
        places = self._places.get(key, [])
        at = bisect_left(places, self._now)
        return places[at] if at < len(places) else math.inf
