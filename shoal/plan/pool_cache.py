"""Schedules remembered by the rough size of what an item brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from shoal.plan.pools import PoolPoint

Bucket = tuple[tuple[str, int], ...]


def bucket(bindings: Mapping[str, int]) -> Bucket:
    """Each size's name with the whole part of its binary logarithm plus one (0 for 0): 64 to 127 are alike."""
    return tuple((name, bindings[name].bit_length()) for name in sorted(bindings))


@dataclass(frozen=True)
class ScheduleCache:
    """Points by bucket, and how often one was there; a value, so every look gives the next cache as well."""

    known: Mapping[Bucket, PoolPoint] = field(default_factory=dict)
    hits: int = 0
    misses: int = 0

    def look(
        self, bindings: Mapping[str, int], solve: Callable[[Mapping[str, int]], PoolPoint]
    ) -> tuple[ScheduleCache, PoolPoint]:
        """The point for items like `bindings`, solved for these very sizes if there is none; and the next cache.

        A remembered point's schedule is for all items of its bucket; its figures are those of the first one.
        """
        key = bucket(bindings)
        if key in self.known:
            return replace(self, hits=self.hits + 1), self.known[key]
        point = solve(bindings)
        return ScheduleCache({**self.known, key: point}, self.hits, self.misses + 1), point
