"""What happened to a service, for whoever runs it: kept for a while, told at once, and logged."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from shoal.live.values import Happening, Kind

KEPT = 1000
LOG = logging.getLogger("shoal.live")


class Journal:
    """Happenings in their order. Safe to use from several threads; listeners are called on the teller's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._happenings: deque[Happening] = deque(maxlen=KEPT)
        self._number = 0
        self._listeners: list[Callable[[Happening], None]] = []

    def tell(self, kind: Kind, subject: str, text: str) -> None:
        """Something happened just now."""
        with self._lock:
            happening = Happening(self._number, time.time(), kind, subject, text)
            self._number += 1
            self._happenings.append(happening)
            listeners = tuple(self._listeners)
        LOG.info("%s: %s: %s", kind, subject, text)
        for told in listeners:
            told(happening)

    def since(self, after: int) -> tuple[Happening, ...]:
        """Those kept that came after the one numbered `after`."""
        with self._lock:
            return tuple(each for each in self._happenings if each.number > after)

    def listen(self, told: Callable[[Happening], None]) -> Callable[[], None]:
        """Have `told` called from now on; returns what ends that."""
        with self._lock:
            self._listeners.append(told)

        def end() -> None:
            with self._lock:
                if told in self._listeners:
                    self._listeners.remove(told)

        return end
