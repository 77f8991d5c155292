"""Which units may follow which: the states of the label programme, besides the cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class ChainNode:
    """The units used so far, as far as they matter, and the last of them."""

    unit: int
    before: tuple[int, ...]  # nodes this one may follow, earlier in the list
    starts: bool  # may come first
    left: frozenset[int]  # units that may still come
    within: tuple[int, ...] = ()  # earlier nodes with the same last unit, or one like it, and one unit less used


def ordered_nodes(units: Sequence[int]) -> tuple[ChainNode, ...]:
    """Nodes for units in a given order, any left out: the last unit says it all. Followers come later."""
    return tuple(
        ChainNode(unit, tuple(range(place)), True, frozenset(units[place + 1 :]))
        for place, unit in enumerate(units)
    )


def unordered_nodes(alike: Sequence[int]) -> tuple[ChainNode, ...]:
    """Nodes for units in any order: the set used and its last, small sets first.

    Args:
        alike: of each unit its kind. Units of one kind may stand for each other, so they are used in ascending
            order, and a set says no more than how many of each kind it holds.
    """
    nodes: list[ChainNode] = []
    place: dict[tuple[frozenset[int], int | None], int] = {}
    everyone = frozenset(range(len(alike)))
    level = [frozenset[int]()]
    while level := sorted({used | {unit} for used in level for unit in _next(alike, used)}, key=sorted):
        for used in level:
            last = _last(alike, used)
            for unit in last:
                others = used - {unit}
                before = tuple(place[others, other] for other in _last(alike, others))
                fewer = ((used - {each}, unit if each != unit else _like(alike, others, unit)) for each in last)
                within = tuple(place[less] for less in fewer if less in place)
                place[used, unit] = len(nodes)
                nodes.append(ChainNode(unit, before, not others, everyone - used, within))
    return tuple(nodes)


def count_unordered(alike: Sequence[int]) -> int:
    """How many nodes `unordered_nodes` would make."""
    counts = [alike.count(kind) for kind in set(alike)]
    return sum(count * prod(other + 1 for other in counts) // (count + 1) for count in counts)


def _next(alike: Sequence[int], used: frozenset[int]) -> list[int]:
    """The first unused unit of each kind."""
    found: dict[int, int] = {}
    for unit in range(len(alike) - 1, -1, -1):
        if unit not in used:
            found[alike[unit]] = unit
    return sorted(found.values())


def _last(alike: Sequence[int], used: frozenset[int]) -> list[int]:
    """The last used unit of each kind: those that may have come last."""
    return sorted({alike[unit]: unit for unit in sorted(used)}.values())


def _like(alike: Sequence[int], used: frozenset[int], unit: int) -> int | None:
    """The last used unit of the same kind."""
    return max((other for other in used if alike[other] == alike[unit]), default=None)
