"""Shots of light and the digital multipliers behind them, cycle by cycle: what is too large for the small converters
waits in a queue, and light waits when the queue is full."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal.machines._compiled import compiled


@compiled
def played(highs: NDArray[np.int64], macs: int, rate: int, every: int, entries: int) -> NDArray[np.int64]:
    """Carry out shots until the last result is there.

    In a cycle the multipliers work first, then results that wait enter the queue, then light takes its next shot
    unless some are still waiting, and the results of that shot enter as far as there is room.

    Args:
        highs: results of each shot that the multipliers have to make.
        macs: products of each of them.
        rate: products that the multipliers do in one of their cycles.
        every: cycles of light in one of theirs.
        entries: results that the queue holds; one that is begun keeps its place until it is done.

    Returns:
        Cycles in all, cycles after which light is done, cycles in which it waited, cycles of the multipliers in
        which they worked, and the longest queue.
    """
    cycle, light, stalls, busy, longest = 0, 0, 0, 0, 0
    owed, waiting, shot = 0, 0, 0
    while shot < len(highs) or waiting > 0 or owed > 0:
        if cycle % every == 0 and owed > 0:
            owed -= min(owed, rate)
            busy += 1
        held = (owed + macs - 1) // macs
        entering = min(waiting, entries - held)
        waiting -= entering
        if shot < len(highs):
            if waiting == 0:
                waiting = highs[shot]
                shot += 1
                more = min(waiting, entries - held - entering)
                waiting -= more
                entering += more
                light = cycle + 1
            else:
                stalls += 1
        owed += entering * macs
        longest = max(longest, held + entering)
        cycle += 1
    return np.array([cycle, light, stalls, busy, longest], np.int64)
