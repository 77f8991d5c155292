"""Being woken when something is due: threads wake a little late, and always about as much."""

from __future__ import annotations

import ctypes
import math

STEP_S = 1e-6
MOST_LEAD_S = 60e-6  # below the shortest latency that is imitated
_SET_TIMER_SLACK = 29  # of prctl


class Lead:
    """How much before something is due a thread asks to be woken.

    It moves by steps towards the median lateness: a single wake that comes much too late says nothing.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        prctl = getattr(ctypes.CDLL(None), "prctl", None)
        if prctl is not None:
            prctl(_SET_TIMER_SLACK, 1, 0, 0, 0)  # this thread; as it is, the kernel may add 50 µs to every sleep

    def woke(self, late_s: float) -> None:
        """Learn from a wake that came `late_s` after the moment something was due (below zero: before it)."""
        self.seconds = min(MOST_LEAD_S, max(0.0, self.seconds + math.copysign(STEP_S, late_s)))
