"""How many requests a service took and answered, and how long the latest of them took."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np

RECENT_S = 10.0
LATENCIES = 1000  # the latest of which p50 and p99 are taken


class Counts:
    """Totals since the service began. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._began_s = time.monotonic()
        self.answered = self.refused = self.failed = self.held = self.resent = 0
        self._latencies_s: deque[float] = deque(maxlen=LATENCIES)
        self._ends_s: deque[float] = deque()  # of the last RECENT_S

    def take(self, most: int) -> bool:
        """Hold one more request, unless `most` are held; it is then refused."""
        with self._lock:
            fits = self.held < most
            self.held += fits
            self.refused += not fits
            return fits

    def refuse(self) -> None:
        """A request was not taken."""
        with self._lock:
            self.refused += 1

    def end(self, taken_s: float, *, answered: bool) -> None:
        """A request that was taken (at `taken_s` of the monotonic clock) is answered, or will not be."""
        now_s = time.monotonic()
        with self._lock:
            self.held -= 1
            self.answered += answered
            self.failed += not answered
            if answered:
                self._latencies_s.append(now_s - taken_s)
                self._ends_s.append(now_s)
                self._forget(now_s)
            self._lock.notify_all()

    def send_again(self, items: int) -> None:
        """So many items began again on other devices."""
        with self._lock:
            self.resent += items

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is held; whether that came in time."""
        with self._lock:
            return self._lock.wait_for(lambda: not self.held, timeout_s)

    @property
    def throughput_items_per_s(self) -> float:
        """Over the latest RECENT_S."""
        now_s = time.monotonic()
        with self._lock:
            self._forget(now_s)
            return len(self._ends_s) / min(RECENT_S, max(1.0, now_s - self._began_s))

    @property
    def latency_s(self) -> dict[str, float]:
        """The quantiles of the latest answers; empty before the first."""
        with self._lock:
            latencies = list(self._latencies_s)
        if not latencies:
            return {}
        p50, p99 = np.quantile(latencies, (0.5, 0.99))
        return {"p50": float(p50), "p99": float(p99)}

    def _forget(self, now_s: float) -> None:
        while self._ends_s and self._ends_s[0] < now_s - RECENT_S:
            self._ends_s.popleft()
