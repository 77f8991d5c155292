"""Parts that go straight to where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal.wire.collectives._group import Group
from shoal.wire.collectives.contract import Array, Cuts, Kind


@dataclass(frozen=True)
class Direct:
    """Each member speaks to every other: as many bytes as around a ring, and only one step behind another.

    Sums are added in the order of ranks, whoever adds: how an array is cut changes no bit.
    """

    def all_gather(self, group: Group, array: Array, cuts: Cuts) -> None:
        """See `Collective`."""
        own = array[cuts[group.rank] : cuts[group.rank + 1]]
        for to, source in _others(group):
            group.swap(to, own, source, array[cuts[source] : cuts[source + 1]])

    def reduce_scatter(self, group: Group, array: Array, cuts: Cuts) -> None:
        """See `Collective`."""
        own = array[cuts[group.rank] : cuts[group.rank + 1]]
        parts = {group.rank: own.copy()}
        for to, source in _others(group):
            parts[source] = np.empty_like(own)
            group.swap(to, array[cuts[to] : cuts[to + 1]], source, parts[source])
        own[:] = parts[0]
        for rank in range(1, group.members):
            np.add(own, parts[rank], out=own)

    def all_reduce(self, group: Group, array: Array, cuts: Cuts) -> None:
        """See `Collective`."""
        self.reduce_scatter(group, array, cuts)
        self.all_gather(group, array, cuts)

    def all_to_all(self, group: Group, array: Array) -> None:
        """See `Collective`."""
        parts = array.reshape(group.members, -1)
        given = parts.copy()
        for to, source in _others(group):
            group.swap(to, given[to], source, parts[source])

    def broadcast(self, group: Group, array: Array, root: int) -> None:
        """See `Collective`: the root sends it to one after another."""
        if group.rank != root:
            group.receive(root, array)
            return
        for to, _ in _others(group):
            group.send(to, array)

    def sent(self, kind: Kind, sizes: Sequence[int], rank: int, root: int = 0) -> int:
        """See `Collective`."""
        others, total = len(sizes) - 1, sum(sizes)
        if kind == "broadcast":
            return others * total if rank == root else 0
        gathered, scattered = others * sizes[rank], total - sizes[rank]
        return {"all_gather": gathered, "reduce_scatter": scattered, "all_to_all": scattered,
                "all_reduce": gathered + scattered}[kind]  # fmt: skip


def _others(group: Group) -> list[tuple[int, int]]:
    """Whom to send to and whom to hear at each step: all send at once, and nobody hears two."""
    return [
        ((group.rank + step) % group.members, (group.rank - step) % group.members)
        for step in range(1, group.members)
    ]
