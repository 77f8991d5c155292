"""Records in memory: a slower memory's stand-in, and the twin that tests read from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shoal.store.values import Arrays, Key, Record, TierFigures, laid_out


class MemoryTier:
    """Arrays that are copied on every read."""

    def __init__(self, records: Iterable[tuple[Key, Arrays]], name: str = "memory") -> None:
        self._data: dict[Key, bytes] = {}
        made: dict[Key, Record] = {}
        for key, arrays in records:
            made[key], self._data[key] = laid_out(key, arrays, 0)
        self.records: Mapping[Key, Record] = made
        self.figures = TierFigures(name, size_bytes=sum(each.bytes for each in made.values()))

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        """See `Tier`."""
        into[:] = self._data[key][offset : offset + len(into)]

    def close(self) -> None:
        """See `Tier`."""
