"""One member's end of a group: pieces to and from the others, none of which can leave unnoticed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable
from itertools import permutations
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from shoal.errors import WireError, WorkerDied
from shoal.program import CLIENT, Edge, Header, Program, Route, TensorSpec
from shoal.wire.contract import Delivery, Endpoint, Left

PIECE_BYTES = 1 << 18  # of a message: enough of them that sending, receiving and adding overlap
BUFFERED = 4  # pieces on their way between two members; two are the least that never wait in a circle
PATIENCE_S = 60.0
Array = NDArray[np.generic]
U8 = NDArray[np.uint8]


class Kept(Protocol):
    """What a way of exchanging has opened for one group, beside its connections."""

    @property
    def sent_bytes(self) -> int:
        """That went to other members by it."""

    def close(self) -> None:
        """Leave."""


Opened = TypeVar("Opened", bound=Kept)


def group_program(members: int) -> Program:
    """Edges between all members, on which anything travels in pieces."""
    units = tuple(f"member/{rank}" for rank in range(members))
    spec = TensorSpec("uint8", (PIECE_BYTES,))
    edges = tuple(Edge(f"{a}>{b}", a, b, "piece", "piece", spec, BUFFERED) for a, b in permutations(units, 2))
    return Program("group", units, edges, (), (Route("main", (), (), ()),), BUFFERED, {})


class Group:
    """Members with ranks from 0, over any transport.

    Members stay until all of them have ended; whoever closes the group, the client first, tells them when.

    Args:
        end: this member's, of `group_program`.
        program: that program.
        rank: this member's.
        patience_s: how long another may say nothing while it is waited for.
    """

    def __init__(self, end: Endpoint, program: Program, rank: int, patience_s: float = PATIENCE_S) -> None:
        self._end, self._program, self.rank, self.patience_s = end, program, rank, patience_s
        self.members = len(program.units)
        self._ranks = {unit: at for at, unit in enumerate(program.units)}
        self._came: list[deque[Delivery]] = [deque() for _ in program.units]
        self._sent, self._received = [0] * self.members, [0] * self.members  # pieces
        self._kept: dict[Hashable, Any] = {}

    @property
    def sent_bytes(self) -> int:
        """To other members so far, without headers."""
        otherwise: int = sum(each.sent_bytes for each in self._kept.values())
        return self._end.sent_bytes + otherwise

    def name(self, rank: int) -> str:
        """Of a member, for messages."""
        return self._program.units[rank]

    def kept(self, key: Hashable, opened: Callable[[], Opened]) -> Opened:
        """What is opened the first time that it is asked for, and closed with the group."""
        if key not in self._kept:
            self._kept[key] = opened()
        found: Opened = self._kept[key]
        return found

    def swap(self, to: int, given: Array, source: int, taken: Array, *, add: bool = False) -> None:
        """Send one array to a member while receiving another from a member, in place; `add` to what is there.

        Raises:
            WorkerDied: a member has left, or says nothing for too long.
            WireError: it sends something of another size.
        """
        out, into = _pieces(given), _pieces(taken)
        for at in range(max(len(out), len(into))):
            if at < len(out):
                self._send(to, out[at])
            if at < len(into):
                self._receive(source, into[at], add=add)

    def send(self, to: int, given: Array) -> None:
        """Send an array to a member."""
        for piece in _pieces(given):
            self._send(to, piece)

    def receive(self, source: int, taken: Array) -> None:
        """Receive an array from a member, in place.

        Raises:
            WorkerDied: see `swap`.
            WireError: see `swap`.
        """
        for piece in _pieces(taken):
            self._receive(source, piece)

    def _send(self, to: int, piece: Array) -> None:
        edge = self._program.edge_index[f"{self._program.units[self.rank]}>{self._program.units[to]}"]
        data = piece.view(np.uint8)
        self._end.send(Header(edge, self._sent[to], shape=data.shape, payload_bytes=data.nbytes), data)
        self._sent[to] += 1

    def _receive(self, source: int, piece: Array, *, add: bool = False) -> None:
        found = self._next(source)
        try:
            data = found.array
            if data is None or found.header.item != self._received[source] or data.nbytes != piece.nbytes:
                had = f"piece {found.header.item} of {found.header.payload_bytes} B"
                raise WireError("a member of the group exchanges something else", where=found.peer, had=had,
                                needed=f"piece {self._received[source]} of {piece.nbytes} B")  # fmt: skip
            self._received[source] += 1
            if add:
                np.add(piece, data.view(piece.dtype), out=piece)
            else:
                piece[:] = data.view(piece.dtype)
        finally:
            self._end.release(found)

    def _next(self, source: int) -> Delivery:
        """What this member sent next; what others sent meanwhile is kept."""
        until_s = time.monotonic() + self.patience_s
        while not self._came[source]:
            found = self._end.receive(max(0.0, until_s - time.monotonic()))
            if isinstance(found, Left):
                who = "who began it all" if found.peer == CLIENT else "a member of the group"
                raise WorkerDied(f"{who} is gone: {found.why}", where=found.peer)
            if found is not None:
                if found.peer not in self._ranks:
                    raise WireError("is no member of the group, and speaks", where=found.peer)
                self._came[self._ranks[found.peer]].append(found)
            elif time.monotonic() >= until_s:
                raise WorkerDied(f"a member of the group says nothing for {self.patience_s:g} s",
                                 where=self.name(source))  # fmt: skip
        return self._came[source].popleft()

    def close(self) -> None:
        """End all connections."""
        self._end.close()
        while self._kept:
            self._kept.popitem()[1].close()


def _pieces(array: Array) -> list[Array]:
    """Runs of an array that fit a message."""
    step = PIECE_BYTES // array.itemsize
    return [array[at : at + step] for at in range(0, len(array), step)]
