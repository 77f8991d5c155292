"""What a collective is: a way for the members of a group to exchange an array that they cut alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.wire.collectives._group import Group

FAMILY = "wire/collectives"
Array = NDArray[np.generic]
Cuts = Sequence[int]  # where parts begin and the last one ends: member r has array[cuts[r] : cuts[r + 1]]
Kind = Literal["all_gather", "reduce_scatter", "all_reduce", "all_to_all", "broadcast"]


class Collective(Protocol):
    """A member of `wire/collectives`. Every member of the group calls the same, in the same order.

    Arrays are contiguous, of one axis, and changed in place. Sums are added in an order that depends on the part and on
    the number of members alone: the same arrays give the same bits.

    Raises, each of its methods:
        WorkerDied: a member has left, or says nothing for too long.
        WireError: a member exchanges something else.
    """

    def all_gather(self, group: Group, array: Array, cuts: Cuts) -> None:
        """Each member has its part; afterwards all have all."""

    def reduce_scatter(self, group: Group, array: Array, cuts: Cuts) -> None:
        """Each has an array; afterwards each has the sum in its own part, and nothing of use in the others."""

    def all_reduce(self, group: Group, array: Array, cuts: Cuts) -> None:
        """Each has an array; afterwards all have the sum."""

    def all_to_all(self, group: Group, array: Array) -> None:
        """Each has a part of the same length for every member; afterwards each has those that are for it, by member."""

    def broadcast(self, group: Group, array: Array, root: int) -> None:
        """One has the array; afterwards all have it."""

    def sent(self, kind: Kind, sizes: Sequence[int], rank: int, root: int = 0) -> int:
        """What this member sends, in the unit of the parts' sizes."""


def even(size: int, members: int, step: int = 1) -> tuple[int, ...]:
    """Cuts into parts of `step` elements each, as like as can be; the larger come first."""
    steps = -(-size // step)
    return tuple(
        min(size, step * (at * (steps // members) + min(at, steps % members))) for at in range(members + 1)
    )
