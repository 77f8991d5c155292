"""What it costs to bring a value from where it is to everywhere, cycle by cycle: the mapper's inner loop.

Time only goes forward over registers and stands still over multiplexers, which feed no circle. So the cheapest ways are
found in one sweep over cycles, in which resources are visited in such an order that each comes after what feeds it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal.machines._compiled import compiled

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
FAR = 1e18


@compiled
def forward(
    held: F64, order: I64, delays: I64, starts: I64, sources: I64, costs: F64, first: int
) -> tuple[F64, I64]:  # fmt: skip
    """Costs of a value at each resource and cycle, and where it comes from.

    Args:
        held: shape (cycles, resources): 0 where the value is already, `FAR` elsewhere; the costs are written into it.
        order: the resources, each after what feeds it in the same cycle.
        delays: of each resource.
        starts: of each resource's part of `sources`.
        sources: what feeds it.
        costs: of entering, shape (slots, resources).
        first: the cycle of row 0.
    """
    cycles, count = held.shape
    slots = costs.shape[0]
    come = np.full((cycles, count), -1, np.int64)
    for cycle in range(cycles):
        slot = (first + cycle) % slots
        for at in order:
            before = cycle - delays[at]
            if before < 0 or held[cycle, at] == 0.0:
                continue
            best, chosen = FAR, -1
            for place in range(starts[at], starts[at + 1]):
                if held[before, sources[place]] < best:
                    best, chosen = held[before, sources[place]], sources[place]
            if chosen >= 0:
                held[cycle, at] = best + costs[slot, at]
                come[cycle, at] = chosen
    return held, come


@compiled
def backward(
    target: int, cycles: int, order: I64, delays: I64, starts: I64, takers: I64, costs: F64, last: int
) -> F64:  # fmt: skip
    """Costs of bringing a value from each resource and cycle to `target` in the last of `cycles`; `last` is its number."""
    count = len(order)
    slots = costs.shape[0]
    found = np.full((cycles, count), FAR)
    found[cycles - 1, target] = 0.0
    for cycle in range(cycles - 1, -1, -1):
        for place in range(count - 1, -1, -1):
            at = order[place]
            best = found[cycle, at]
            for taker in takers[starts[at] : starts[at + 1]]:
                after = cycle + delays[taker]
                if after < cycles and found[after, taker] < FAR:
                    cost = found[after, taker] + costs[(last - (cycles - 1 - after)) % slots, taker]
                    best = min(best, cost)
            found[cycle, at] = best
    return found
