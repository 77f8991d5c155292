"""Parts that go round in a circle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.wire.collectives._group import Group
from shoal.wire.collectives.contract import Array, Cuts, Kind


@dataclass(frozen=True)
class Ring:
    """Each member speaks to the next one only: as little as can be sent, in as many steps as there are others.

    The sum of part p begins with the member after p and ends with p. [Patarasuk and Yuan, "Bandwidth optimal all-reduce
    algorithms for clusters of workstations", 2009]
    """

    def all_gather(self, group: Group, array: Array, cuts: Cuts) -> None:
        """See `Collective`: parts go round, each to the member before the one that had it first."""
        self._round(group, array, cuts, first=group.rank, add=False)

    def reduce_scatter(self, group: Group, array: Array, cuts: Cuts) -> None:
        """See `Collective`: partial sums go round, and end where they belong."""
        self._round(group, array, cuts, first=group.rank - 1, add=True)

    def all_reduce(self, group: Group, array: Array, cuts: Cuts) -> None:
        """See `Collective`."""
        self.reduce_scatter(group, array, cuts)
        self.all_gather(group, array, cuts)

    def all_to_all(self, group: Group, array: Array) -> None:
        """See `Collective`: parts go on until they are home, each time one less."""
        members, parts = group.members, array.reshape(group.members, -1)
        carried = parts[[(group.rank + step) % members for step in range(1, members)]]
        for step in range(1, members):
            came = np.empty_like(carried)
            group.swap((group.rank + 1) % members, carried.ravel(), (group.rank - 1) % members, came.ravel())
            parts[(group.rank - step) % members], carried = came[0], came[1:]

    def broadcast(self, group: Group, array: Array, root: int) -> None:
        """See `Collective`: pieces go on as they come."""
        after, before = (group.rank + 1) % group.members, (group.rank - 1) % group.members
        step = max(1, len(array) // (4 * group.members))
        for at in range(0, len(array), step):
            part = array[at : at + step]
            if group.rank != root:
                group.receive(before, part)
            if after != root:
                group.send(after, part)

    def sent(self, kind: Kind, sizes: Sequence[int], rank: int, root: int = 0) -> int:
        """See `Collective`."""
        members, total = len(sizes), sum(sizes)
        if kind == "broadcast":
            return 0 if (rank + 1) % members == root else total
        gathered, scattered = total - sizes[(rank + 1) % members], total - sizes[rank]
        crossed = sizes[rank] * members * (members - 1) // 2
        return {"all_gather": gathered, "reduce_scatter": scattered, "all_to_all": crossed,
                "all_reduce": gathered + scattered}[kind]  # fmt: skip

    def _round(self, group: Group, array: Array, cuts: Cuts, first: int, *, add: bool) -> None:
        """Send the part `first`, then each time the one that has just come."""
        members = group.members
        for step in range(members - 1):
            out, into = (first - step) % members, (first - step - 1) % members
            group.swap(
                (group.rank + 1) % members, array[cuts[out] : cuts[out + 1]],
                (group.rank - 1) % members, array[cuts[into] : cuts[into + 1]], add=add,
            )  # fmt: skip
