"""Memory that all members share and that adds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shoal.errors import WorkerDied
from shoal.wire.collectives._group import Group
from shoal.wire.collectives.contract import Array, Cuts, Kind
from shoal.wire.collectives.direct import Direct
from shoal.wire.pool import Absent, Exchanges, Layout, Port, exchange_layout, pooled

PATH_BYTES = 108  # the longest name that a socket can have on Linux


@dataclass(frozen=True)
class Pool:
    """Each member writes once and reads once, however many they are: what is written to a sum is added where it lies.

    For members on one machine. The first of them starts the server at the first exchange; it ends with the group.
    [FengHuang's authors, "FengHuang: Next-Generation Memory Orchestration for AI Inferencing", 2025]
    """

    chunk_kb: int = 1024  # KiB of a member that are read while the next are written
    at_once: int = 2  # chunks on their way; 1: all read one before anybody writes the next
    banks: int = 2  # threads that add
    ordered: bool = True  # sums in the order of ranks, the same bits each time; else as they come

    def all_gather(self, group: Group, array: Array, cuts: Cuts) -> None:
        """See `Collective`."""
        with self._exchanges(group) as there:
            there.all_gather(array, cuts)

    def reduce_scatter(self, group: Group, array: Array, cuts: Cuts) -> None:
        """See `Collective`."""
        with self._exchanges(group) as there:
            there.reduce_scatter(array, cuts)

    def all_reduce(self, group: Group, array: Array, cuts: Cuts) -> None:
        """See `Collective`."""
        with self._exchanges(group) as there:
            there.all_reduce(array)

    def all_to_all(self, group: Group, array: Array) -> None:
        """See `Collective`."""
        with self._exchanges(group) as there:
            there.all_to_all(array)

    def broadcast(self, group: Group, array: Array, root: int) -> None:
        """See `Collective`."""
        with self._exchanges(group) as there:
            there.broadcast(array, root)

    def sent(self, kind: Kind, sizes: Sequence[int], rank: int, root: int = 0) -> int:
        """See `Collective`: what is written to the pool; what it takes to begin is not counted."""
        if kind == "broadcast":
            return sum(sizes) if rank == root else 0
        return sizes[rank] if kind == "all_gather" else sum(sizes)

    @contextmanager
    def _exchanges(self, group: Group) -> Iterator[Exchanges]:
        layout = exchange_layout(group.members, self.chunk_kb << 10, at_once=self.at_once, banks=self.banks,
                                 ordered=self.ordered)  # fmt: skip
        there = group.kept(self, lambda: _There(group, layout))
        try:
            yield there.exchanges
        except Absent as fault:
            who = ", ".join(group.name(rank) for rank in sorted(fault.ports))
            what = "is gone" if fault.left else "says nothing"
            raise WorkerDied(f"a member of the group {what}: {fault.message}", where=who) from fault


class _There:
    """One member's port; the first member has the server too."""

    def __init__(self, group: Group, layout: Layout) -> None:
        with ExitStack() as ending:
            path = np.zeros(PATH_BYTES, np.uint8)
            if group.rank == 0:
                told = np.frombuffer(os.fsencode(ending.enter_context(pooled(layout))), np.uint8)
                path[: len(told)] = told
            Direct().broadcast(group, path, 0)
            where = Path(os.fsdecode(path.tobytes().rstrip(b"\0")))
            self._port = ending.enter_context(Port(where, group.rank, group.patience_s))
            # All have come, so whoever leaves from now on is seen to leave by the server.
            Direct().all_gather(group, np.zeros(group.members, np.uint8), range(group.members + 1))
            self._ending = ending.pop_all()
        self.exchanges = Exchanges(self._port)

    @property
    def sent_bytes(self) -> int:
        """Written to the pool."""
        return self._port.sent_bytes

    def close(self) -> None:
        """Leave; the server ends when all have."""
        self._ending.close()
