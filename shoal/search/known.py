"""A staircase of known points that answers in constant time whether a candidate is beaten."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_CELLS = 1 << 18  # a table of 2 MiB


class Staircase:
    """For thresholds in all goals but the last: the least last goal among the points within them.

    With more points than thresholds the answer is too large, never too small: a candidate called beaten is.
    """

    def __init__(self, points: F64) -> None:
        """Tabulate `points`, shape (n, k ≥ 1), smaller is better."""
        goals = points.shape[1]
        self._most = int(_CELLS ** (1 / max(goals - 1, 1)))
        self._steps = [_steps(points[:, goal], self._most) for goal in range(goals - 1)]
        self._shape = [len(steps) + 1 for steps in self._steps]  # cell 0: below the first step
        table = np.full(self._shape, np.inf)
        cells = [np.searchsorted(steps, points[:, goal]) + 1 for goal, steps in enumerate(self._steps)]
        np.minimum.at(table.reshape(-1), self._flat(cells, len(points)), points[:, -1])
        for axis in range(goals - 1):
            np.minimum.accumulate(table, axis=axis, out=table)
        self._table = table.reshape(-1)

    def _flat(self, cells: Sequence[NDArray[np.intp]], size: int) -> NDArray[np.intp]:
        flat = np.zeros(size, dtype=np.intp)
        for cell, steps in zip(cells, self._shape, strict=True):
            flat = flat * steps + cell
        return flat

    def least(self, goals: Sequence[F64]) -> F64:
        """The last goal of the best known point within `goals` (all but the last, each (n,)); inf: none."""
        cells = [
            np.searchsorted(steps, values, side="right") for steps, values in zip(self._steps, goals, strict=True)
        ]
        found: F64 = self._table[self._flat(cells, len(goals[0]) if goals else 1)]
        return found


def _steps(values: F64, most: int) -> F64:
    """At most `most` of the values, ascending, evenly by rank, the largest among them."""
    distinct = np.unique(values)
    if len(distinct) <= most:
        return distinct
    chosen: F64 = distinct[np.linspace(len(distinct) - 1, 0, most).astype(np.intp)[::-1]]
    return chosen
