"""Complete plans found so far, kept non-dominated, and what they rule out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shoal.plan.chain import Groups
from shoal.search import Staircase, front

F64 = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(eq=False)
class History:
    """Labels a pass kept, for walking back: blocks of (parent, cut, unit)."""

    cuts: Ints  # the chain's cut behind each of the pass's cuts
    blocks: list[tuple[Ints, Ints, int]] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])

    def add(self, parent: Ints, cut: Ints, unit: int) -> Ints:
        """Keep labels; their indices."""
        self.blocks.append((parent, cut, unit))
        self.starts.append(self.starts[-1] + len(cut))
        return np.arange(self.starts[-2], self.starts[-1])

    def groups(self, label: int) -> Groups:
        """The plan that ends in a label."""
        found: list[tuple[int, int, int]] = []
        while label >= 0:
            block = int(np.searchsorted(self.starts, label, side="right")) - 1
            parent, cut, unit = self.blocks[block]
            place = label - self.starts[block]
            first = int(self.cuts[cut[place]])
            if found:
                found[-1] = (first, *found[-1][1:])
            found.append((0, first, unit))
            label = int(parent[place])
        return tuple(reversed(found))


class Pool:
    """Non-dominated complete plans: values of the wanted goals, and the label each ends in."""

    def __init__(self, goals: int) -> None:
        self.values: F64 = np.empty((0, goals))
        self.histories: list[History] = []
        self._history: Ints = np.empty(0, dtype=np.intp)
        self._label: Ints = np.empty(0, dtype=np.intp)
        self.stairs = Staircase(self.values)

    def open(self, cuts: Ints) -> History:
        """A history for a new pass."""
        self.histories.append(History(cuts))
        return self.histories[-1]

    def add(self, values: F64, labels: Ints) -> None:
        """Take complete plans of the newest history, values (n, goals)."""
        if len(labels) == 0:
            return
        history = np.full(len(labels), len(self.histories) - 1)
        self.values = np.concatenate([self.values, values])
        self._history = np.concatenate([self._history, history])
        self._label = np.concatenate([self._label, labels])
        kept = front(self.values)
        self.values, self._history, self._label = self.values[kept], self._history[kept], self._label[kept]
        self.stairs = Staircase(self.values)

    def plans(self) -> list[Groups]:
        """Every plan kept."""
        pairs = zip(self._history.tolist(), self._label.tolist(), strict=True)
        return [self.histories[history].groups(label) for history, label in pairs]
