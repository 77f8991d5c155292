"""Callbacks in the order of (time, rank, request): a whole simulation kernel."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Kernel:
    """Simulated time. At equal times a lower rank goes first, then what was asked for first."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._queue: list[tuple[float, int, int, Callable[[], None]]] = []
        self._count = count()

    def at(self, time_s: float, action: Callable[[], None], rank: int = 0) -> None:
        """Call `action` at `time_s`, or now if that has passed."""
        heapq.heappush(self._queue, (max(time_s, self.now_s), rank, next(self._count), action))

    def run(self) -> None:
        """Run until nothing is left to do."""
        while self._queue:
            self.now_s, _, _, action = heapq.heappop(self._queue)
            action()
