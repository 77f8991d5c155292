"""Messages that came in and do not count as arrived yet, because an emulated link is slower than the real one."""

from __future__ import annotations

import heapq
from itertools import count

from shoal.wire import Delivery


class Inbox:
    """Deliveries by due time, then by arrival."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Delivery]] = []
        self._count = count()

    def put(self, delivery: Delivery, due_s: float) -> None:
        """Hold `delivery` until `due_s`."""
        heapq.heappush(self._heap, (due_s, next(self._count), delivery))

    def take(self, until_s: float) -> Delivery | None:
        """The next delivery that is due by `until_s`."""
        if self._heap and self._heap[0][0] <= until_s:
            return heapq.heappop(self._heap)[2]
        return None

    def drain(self) -> list[Delivery]:
        """All that is held, which it then holds no more."""
        held = [delivery for _, _, delivery in self._heap]
        self._heap.clear()
        return held

    def __len__(self) -> int:
        """How many deliveries are held."""
        return len(self._heap)

    @property
    def next_due_s(self) -> float | None:
        """When the next one is due."""
        return self._heap[0][0] if self._heap else None
