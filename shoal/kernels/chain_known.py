"""Complete plans found so far, kept non-dominated, and what they rule out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shoal.search import Staircase, front

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(eq=False)
class History:
    """Labels a pass kept, for walking back: blocks of (parent, cut, unit)."""

    blocks: list[tuple[Ints, Ints, int]] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])

    def add(self, parent: Ints, cut: Ints, unit: int) -> Ints:
        """Keep labels; their indices."""
        self.blocks.append((parent, cut, unit))
        self.starts.append(self.starts[-1] + len(cut))
        return np.arange(self.starts[-2], self.starts[-1])

    def groups(self, labels: Ints) -> Ints:
        """The plans that end in `labels`, rows as in `ChainPlans.groups`."""
        rows = [(number, *step) for number, label in enumerate(labels.tolist()) for step in self._steps(label)]
        return np.array(rows, dtype=np.int64).reshape(-1, 3)

    def _steps(self, label: int) -> list[tuple[int, int]]:
        """Last cut and unit of each group, the first group first."""
        found: list[tuple[int, int]] = []
        while label >= 0:
            block = int(np.searchsorted(self.starts, label, side="right")) - 1
            parent, cut, unit = self.blocks[block]
            place = label - self.starts[block]
            found.append((int(cut[place]), unit))
            label = int(parent[place])
        return found[::-1]


class Known:
    """Non-dominated complete plans: values of the wanted goals, and the label each ends in (-1: from outside)."""

    def __init__(self, values: F64) -> None:
        """Begin with plans from outside, (n, goals)."""
        self.values = values
        self.labels: Ints = np.full(len(values), -1)
        self.stairs = Staircase(values)

    def add(self, values: F64, labels: Ints) -> None:
        """Take complete plans, values (n, goals)."""
        if len(labels) == 0:
            return
        both, all_labels = np.concatenate([self.values, values]), np.concatenate([self.labels, labels])
        kept = front(both)
        self.values, self.labels = both[kept], all_labels[kept]
        self.stairs = Staircase(self.values)
