"""Counts in which the past fades."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
HEAVIEST = 1e200  # no float is near its end


class Fading(Generic[Name]):
    """How often names were counted. What is counted later weighs more, instead of all before it weighing less: only the
    proportions of counts mean anything."""

    def __init__(self) -> None:
        self.counts: dict[Name, float] = {}
        self._weight = 1.0

    def add(self, names: Iterable[Name], decay: float) -> None:
        """Count these once, all counts before them times `decay`."""
        self._weight /= decay
        if self._weight > HEAVIEST:
            self.counts = {name: count / self._weight for name, count in self.counts.items()}
            self._weight = 1.0
        for name in names:
            self.counts[name] = self.counts.get(name, 0.0) + self._weight
