"""Callbacks in the order of (time, rank, request): a whole simulation kernel."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf

Action = Callable[[], object]


class Kernel:
    """Simulated time. At equal times a lower rank goes first, then what was asked for first."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.events = 0  # actions called so far
        self._asked = 0
        self._queue: list[tuple[float, int, int, Action]] = []
        self._next: tuple[float, int, int, Action] | None = None  # for now, while the queue holds nothing for now

    def at(self, time_s: float, action: Action, rank: int = 0) -> None:
        """Call `action` at `time_s`, or now if that has passed; never if that is infinite."""
        self._asked = asked = self._asked + 1
        queue = self._queue
        if time_s > self.now_s:
            if time_s < inf:
                heappush(queue, (time_s, rank, asked, action))
            return
        entry = (self.now_s, rank, asked, action)
        if self._next is not None:
            heappush(queue, self._next)
            self._next = None
        elif not queue or queue[0][0] > self.now_s:
            self._next = entry  # most events ask for just one more at their moment: it needs no place in the heap
            return
        heappush(queue, entry)

    def run(self) -> None:
        """Run until nothing is left to do."""
        queue = self._queue
        while True:
            if self._next is not None:
                action, self._next = self._next[3], None
            elif queue:
                self.now_s, _, _, action = heappop(queue)
            else:
                return
            self.events += 1
            action()

    def clear(self) -> None:
        """Forget all that is still to come."""
        self._queue.clear()
        self._next = None
