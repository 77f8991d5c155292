"""A slower machine made of this one: after what took CPU time, sleep until the slower one would be done too."""

from __future__ import annotations

import time
from collections.abc import Callable

from shoal.worker.clock import LONGEST_S

LEAST_SLEEP_S = 2e-4  # shorter debts are carried: a sleep ends about 0.1 ms late


class Throttle:
    """The account of one worker thread that is to be `speed` times as fast as it is.

    It counts the thread's own CPU time, so that waiting for a core that another worker has costs nothing: it only
    makes the sleep shorter. Sleeps end at absolute times, so that late wakes do not add up.
    """

    def __init__(
        self,
        speed: float,
        cpu_s: Callable[[], float] = time.thread_time,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """The clocks are for tests."""
        self._speed, self._cpu_s, self._now_s, self._sleep = speed, cpu_s, now_s, sleep
        self._counted_s = cpu_s()
        self._due_s = now_s()  # when the slower machine is done with all that was counted
        self.behind_s = 0.0  # the most that this machine was later than the slower one would have been

    def roused(self) -> None:
        """There was nothing to do until now, but for what took the CPU time that is not counted yet."""
        self._due_s = max(self._due_s, self._now_s() - (self._cpu_s() - self._counted_s))

    def rest(self) -> None:
        """Sleep until the slower machine has done what was done by now."""
        used_s = self._cpu_s()
        self._due_s += (used_s - self._counted_s) / self._speed
        self._counted_s = used_s
        left_s = self._due_s - self._now_s()
        if left_s > LEAST_SLEEP_S:
            self._sleep(min(left_s, LONGEST_S))
        self.behind_s = max(self.behind_s, -left_s)
