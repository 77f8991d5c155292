"""Room for experts, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shoal.plan.experts._values import I64


def layer_room(left: I64, layers_left: int) -> I64:
    """How many experts of the next layer each host takes at most: its part of what is left, rounded up.

    In all that is as many as there are as long as everything left is; and whatever a layer takes, what is left
    then is enough for the next ones.
    """
    return -(-left // layers_left)


def in_turn(order: Sequence[int], wanted: Sequence[int], room: I64) -> I64:
    """The host of each expert: the one that it wants, or the next one that has room.

    Args:
        order: experts, who chooses first.
        wanted: the host of each of them, in that order.
        room: of each host.
    """
    found, left = np.empty(len(order), np.int64), room.copy()
    for expert, start in zip(order, wanted, strict=True):
        host = next(at % len(left) for at in range(start, start + len(left)) if left[at % len(left)] > 0)
        found[expert] = host
        left[host] -= 1
    return found
