"""Several groups on one unit: their order, and how they look together.

A unit takes the first step it can, in the order of its steps, and steps follow the order of pieces. A scheduler says
by the order of its groups what should go first; where each unit has but one group, nothing is to be said.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace

from shoal.graph import Piece
from shoal.plan.values import Group


def in_turn(found: Sequence[Piece], groups: Sequence[Group]) -> tuple[Piece, ...]:
    """`found`, whose owners are indices of `groups`, still in an order in which they can run."""
    if len({group.unit for group in groups}) == len(groups):
        return tuple(found)
    maker = {name: place for place, piece in enumerate(found) for name in piece.outputs}
    sources = [{maker[name] for name in piece.inputs if name in maker} for piece in found]
    readers: list[list[int]] = [[] for _ in found]
    for place, needed in enumerate(sources):
        for source in needed:
            readers[source].append(place)
    missing = [len(needed) for needed in sources]
    free = [(int(found[place].owner), place) for place, count in enumerate(missing) if not count]
    heapq.heapify(free)
    order: list[Piece] = []
    while free:
        _, place = heapq.heappop(free)
        order.append(found[place])
        for reader in readers[place]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(free, (int(found[reader].owner), reader))
    return tuple(order)


def together(groups: Sequence[Group]) -> tuple[Group, ...]:
    """`groups`, those of one unit and engine as one: who runs what, without the order."""
    found: dict[tuple[str, str], Group] = {}
    for group in groups:
        key = (group.unit, group.engine)
        found[key] = replace(group, ops=(*found[key].ops, *group.ops)) if key in found else group
    return tuple(found.values())
