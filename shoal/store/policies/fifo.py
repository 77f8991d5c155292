"""What has been here longest leaves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shoal.store.values import Key


@dataclass(frozen=True)
class Fifo:
    """In the order in which keys were first asked for since they last left."""

    def keeper(self, keys: Collection[Key], uses: Sequence[Key] | None = None) -> Queued:
        """See `Policy`."""
        return Queued()


class Queued:
    """The order of first uses."""

    def __init__(self) -> None:
        self._since: dict[Key, int] = {}
        self._uses = 0

    def used(self, key: Key) -> None:
        """See `Keeper`."""
        self._uses += 1
        self._since.setdefault(key, self._uses)

    def victim(self, among: Collection[Key]) -> Key:
        """See `Keeper`."""
        found = min(among, key=lambda key: (self._since.get(key, 0), key))
        self._since.pop(found, None)
        return found
