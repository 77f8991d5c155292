"""Which units may follow which: the states of the label programme, besides the cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Node:
    """The units used so far, as far as they matter, and the last of them."""

    unit: int
    before: tuple[int, ...]  # nodes this one may follow
    starts: bool  # may come first
    left: frozenset[int]  # units that may still come


def ordered(units: Sequence[int]) -> tuple[Node, ...]:
    """Nodes for units in a given order, any left out: the last unit says it all. Followers come later."""
    return tuple(
        Node(unit, tuple(range(place)), True, frozenset(units[place + 1 :])) for place, unit in enumerate(units)
    )


def unordered(units: Sequence[int]) -> tuple[Node, ...]:
    """Nodes for units in any order: the set used and its last, m·2^(m-1) of them, small sets first."""
    nodes: list[Node] = []
    place: dict[tuple[frozenset[int], int], int] = {}
    for size in range(1, len(units) + 1):
        for used in map(frozenset, combinations(units, size)):
            for unit in sorted(used):
                before = tuple(place[used - {unit}, other] for other in sorted(used - {unit}))
                place[used, unit] = len(nodes)
                nodes.append(Node(unit, before, size == 1, frozenset(units) - used))
    return tuple(nodes)
