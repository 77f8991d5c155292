"""How many failed attempts are borne, of one address and of all."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 60.0
EACH, ALL = 5, 50  # failures within the window


class Patience:
    """Counts failures within a sliding window. Safe to use from several threads; its memory is bounded."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        """`now_s` is for tests."""
        self._now_s = now_s
        self._failures: deque[tuple[float, str]] = deque(maxlen=ALL)
        self._lock = threading.Lock()

    def wait_s(self, address: str) -> float:
        """How long `address` has to wait until it may try; 0: not at all."""
        with self._lock:
            now_s = self._now_s()
            recent = [(at_s, who) for at_s, who in self._failures if now_s - at_s < WINDOW_S]
            own = [at_s for at_s, who in recent if who == address]
            waits = [recent[0][0] for _ in recent[ALL - 1 : ALL]] + [own[-EACH] for _ in own[EACH - 1 : EACH]]
            return max((at_s + WINDOW_S - now_s for at_s in waits), default=0.0)

    def failed(self, address: str) -> None:
        """Note a failure of `address`."""
        with self._lock:
            self._failures.append((self._now_s(), address))
