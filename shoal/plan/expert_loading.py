"""In which order a layer's experts are brought and multiplied, where their bits lie in planes on a slow tier.

After "D²MoE", arXiv 2504.15299: hottest expert and bit first. A plane unlocks nothing until all below it are here, so an
order of experts is an order of planes: all that one lacks, the lowest first, then the next one's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.store import Key

Held = list[dict[str, NDArray[Any]]]


@dataclass(frozen=True)
class Need:
    """An expert that tokens go to."""

    part: int  # number of the expert
    tokens: int
    keys: tuple[Key, ...]  # what it has to have, the first plane first


class Shelf(Protocol):
    """What holds records: a store, or the simulation of one."""

    def held(self) -> frozenset[Key]:
        """What is here at this time."""

    def hold(self, keys: Sequence[Key], then: Sequence[Key] | None = None) -> AbstractContextManager[Held]:
        """See `TensorStore.hold`."""


def number(need: Need, missing_bytes: int) -> tuple[float, ...]:
    """By the experts' numbers, whatever is here: the order of a model's own loop."""
    return (need.part,)


def hottest(need: Need, missing_bytes: int) -> tuple[float, ...]:
    """What most tokens wait for; what is complete before what has to be read."""
    return missing_bytes > 0, -need.tokens, need.part


def per_byte(need: Need, missing_bytes: int) -> tuple[float, ...]:
    """What most tokens wait for, for each byte that is still to be read."""
    return -need.tokens / missing_bytes if missing_bytes else -math.inf, -need.tokens, need.part


Order = Callable[[Need, int], tuple[float, ...]]
ORDERS: Mapping[str, Order] = {each.__name__: each for each in (number, hottest, per_byte)}


def order_of(name: str) -> Order:
    """The order of that name.

    Raises:
        InputError: there is none.
    """
    if name not in ORDERS:
        raise InputError(f"no order of loading is called '{name}'", hint=", ".join(ORDERS))
    return ORDERS[name]


def in_turn(
    shelf: Shelf, needs: Sequence[Need], order: Order, sizes: Mapping[Key, int], ahead: Sequence[Key] = ()
) -> Iterator[tuple[Need, Held]]:
    """Each expert with what it needs held, while what the others lack is read, and then what the next layer will need.

    Which is next is decided anew each time: what has become complete meanwhile is multiplied first, but for `number`.
    """
    left = list(needs)
    while left:
        here = shelf.held()
        missing = {need.part: [key for key in need.keys if key not in here] for need in left}
        left.sort(key=lambda need: order(need, sum(sizes[key] for key in missing[need.part])))
        need = left.pop(0)
        then = [key for other in left for key in missing[other.part]]
        with shelf.hold(need.keys, [*then, *ahead]) as held:
            yield need, held
