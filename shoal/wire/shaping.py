"""Links made real on one machine: when a message would be there, and an endpoint that waits for that.

The sender works out the moment at which its message is due and writes it into the header; the message itself
goes at once, and the receiver keeps it until then. So nothing but the receiver's waking up makes it late.

A medium follows the rules of `program.Media`: one queue, first come first served, a message at a time, which is a
token bucket without a burst. When each medium is free again stands in a file that all parties share, so several
senders on one Wi-Fi really wait for one another.

What is lost comes again: of a message's packets each gets lost with the probability `loss`; those that did are
sent a second time one round trip of that hop later, and so on until all are there. What a peer sent later waits
as it does in TCP. Tensors always arrive. The draws depend on seed, edge and item only, not on the time.
"""

from __future__ import annotations

import fcntl
import heapq
import math
import mmap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.errors import InputError, WireError
from shoal.program import Header, Hop, Program
from shoal.wire.contract import Delivery, Endpoint, Left
from shoal.wire.waking import Lead

LINKS_FILE, BOARD_FILE = "links.json", "links.board"


@dataclass(frozen=True)
class Links:
    """The hops of each edge (none: within one device), and on which machine they are imitated."""

    hops: Mapping[str, tuple[Hop, ...]]
    boot: str

    @property
    def media(self) -> tuple[str, ...]:
        """All media, sorted."""
        return tuple(sorted({hop.medium for hops in self.hops.values() for hop in hops}))


@dataclass(frozen=True)
class Losses:
    """What gets lost on every hop."""

    loss: float = 0.0  # probability that a packet does
    mtu_bytes: int = 1500  # payload of a packet
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1:
            raise InputError("the loss is no probability below 1", needed="0 <= loss < 1", had=f"{self.loss:g}")
        if self.mtu_bytes < 1:
            raise InputError("a packet needs room", needed="mtu_bytes >= 1", had=str(self.mtu_bytes))


def write_links(hops: Mapping[str, tuple[Hop, ...]], folder: Path) -> Path:
    """Write what the transport `shaped` reads into `folder`; returns the path that is its option `links`.

    Raises:
        InputError: a rate of zero or below, or a negative latency.
    """
    for edge, crossed in hops.items():
        check_hops(edge, crossed)
    links = Links(hops, boot_id())
    codec.save(links, folder / LINKS_FILE)
    (folder / BOARD_FILE).write_bytes(bytes(8 * max(1, len(links.media))))
    return folder / LINKS_FILE


def check_hops(where: str, hops: tuple[Hop, ...]) -> None:
    """Refuse hops that nothing could cross.

    Raises:
        InputError: a rate of zero or below, or a negative latency.
    """
    for hop in hops:
        if not (0 < hop.bytes_per_s < math.inf and 0 <= hop.latency_s < math.inf):
            had = f"{hop.bytes_per_s:g} B/s, {hop.latency_s:g} s"
            raise InputError(f"'{hop.medium}' is no link", where=where, needed="> 0 B/s, >= 0 s", had=had)


def read_links(path: Path) -> Links:
    """The links in the file `path`.

    Raises:
        InputError: the file is missing or damaged, or was written on another machine.
    """
    links = codec.load(Links, path)
    if links.boot != boot_id():
        raise InputError("links are shaped only among the processes of one machine", where=str(path))
    return links


def boot_id() -> str:
    """What tells this machine, since it was started, from any other; empty where there is no such thing."""
    file = Path("/proc/sys/kernel/random/boot_id")
    return file.read_text().strip() if file.exists() else ""


class Board:
    """When each medium is free again, on the monotonic clock; shared by all who open the file."""

    def __init__(self, path: Path, media: tuple[str, ...]) -> None:
        self._place = {medium: index for index, medium in enumerate(media)}
        self._file = path.open("r+b")  # an open file of its own: the lock holds between threads too
        self._memory = mmap.mmap(self._file.fileno(), 0)
        self._free_s = np.frombuffer(self._memory, np.float64)

    @contextmanager
    def locked(self) -> Iterator[Board]:
        """Nobody else reads or writes meanwhile."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield self
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def take(self, hop: Hop, size: float, start_s: float) -> float:
        """Occupy the hop's medium for `size` bytes, from `start_s` at the earliest; returns until when."""
        place = self._place[hop.medium]
        self._free_s[place] = max(start_s, self._free_s[place]) + size / hop.bytes_per_s
        return float(self._free_s[place])

    def close(self) -> None:
        """Free memory and file."""
        if not self._file.closed:
            del self._free_s
            self._memory.close()
            self._file.close()


class Carrier:
    """Puts messages on their way over imitated links."""

    def __init__(self, program: Program, links: Links, board: Board, losses: Losses) -> None:
        self._hops = {index: links.hops.get(edge.name, ()) for index, edge in enumerate(program.edges)}
        self._board, self._losses = board, losses

    def due_s(self, edge: int, item: int, size: int, start_s: float) -> float:
        """When `size` bytes sent at `start_s` are there: a hop after the other, each of them storing it whole."""
        hops = self._hops.get(edge, ())
        if not hops:
            return start_s
        draws = np.random.default_rng([self._losses.seed, edge, item]) if self._losses.loss else None
        now_s = start_s
        with self._board.locked() as board:
            for hop in hops:
                now_s = board.take(hop, size, now_s) + hop.latency_s
                if draws is not None:
                    now_s = self._again(board, hop, size, draws, now_s)
        return now_s

    def _again(self, board: Board, hop: Hop, size: int, draws: np.random.Generator, now_s: float) -> float:
        """Send what got lost again, and of that what got lost again; each time costs a round trip."""
        packets = max(1, -(-size // self._losses.mtu_bytes))
        while packets := int(draws.binomial(packets, self._losses.loss)):
            again = min(size, packets * self._losses.mtu_bytes)
            now_s = board.take(hop, again, now_s + hop.latency_s) + hop.latency_s
        return now_s

    def close(self) -> None:
        """Let go of the board."""
        self._board.close()


class ShapedEndpoint:
    """One party's end over another endpoint: what comes in is kept until it is due.

    Messages of one peer keep their order, control messages included; those take no room on a medium. The
    headers it delivers hold the due time on the machine's monotonic clock.
    """

    def __init__(self, inner: Endpoint, carrier: Carrier) -> None:
        self._inner, self._carrier = inner, carrier
        self._kept: list[tuple[float, int, Delivery | Left]] = []
        self._count = 0
        self._last_s: dict[str, float] = {}  # by peer: when its latest message is due
        self._received_bytes = 0
        self._lead = Lead()
        self._woken = False

    @property
    def sent_bytes(self) -> int:
        """Payload bytes of tensors sent so far."""
        return self._inner.sent_bytes

    @property
    def received_bytes(self) -> int:
        """Payload bytes of tensors received so far; what is still under way does not count."""
        return self._received_bytes

    def rates(self) -> Mapping[str, float]:
        """None: the inner transport is quicker than the links."""
        return {}

    def buffer(self, edge: int, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic] | None:
        """What the inner transport lends."""
        return self._inner.buffer(edge, dtype, shape)

    def send(self, header: Header, array: NDArray[Any] | None, peer: str | None = None) -> None:
        """Send at once, with the moment at which it is due."""
        now_s = time.monotonic()
        if not header.control:
            now_s = self._carrier.due_s(header.edge, header.item, header.payload_bytes, now_s)
        self._inner.send(replace(header, time_s=now_s), array, peer)

    def receive(self, timeout_s: float | None) -> Delivery | Left | None:
        """The next delivery that is due."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while (came := self._inner.receive(0)) is not None:
            self._keep(came)
        while True:
            now_s = time.monotonic()
            if self._kept and self._kept[0][0] - self._lead.seconds <= now_s:
                return self._take()
            if self._woken or (until_s is not None and now_s >= until_s):
                self._woken = False
                return None
            self._wait(now_s, until_s)

    def wake(self) -> None:
        """Let `receive` return."""
        self._woken = True
        self._inner.wake()

    def release(self, delivery: Delivery) -> None:
        """Give the delivery's memory back."""
        self._inner.release(delivery)

    def close(self) -> None:
        """End all connections; what is kept is gone."""
        self._kept.clear()
        self._inner.close()
        self._carrier.close()

    def _wait(self, now_s: float, until_s: float | None) -> None:
        """Wait for the next message of the inner transport, or until one that is kept is due or time is up."""
        ends = [self._kept[0][0] - self._lead.seconds] if self._kept else []
        ends += [until_s] if until_s is not None else []
        came = self._inner.receive(min(ends) - now_s if ends else None)
        if came is not None:
            self._keep(came)
        elif self._kept and (late_s := time.monotonic() - self._kept[0][0]) > -self._lead.seconds:
            self._lead.woke(late_s)

    def _keep(self, came: Delivery | Left) -> None:
        at_s = self._last_s.get(came.peer, 0.0)
        if isinstance(came, Delivery):
            at_s = self._last_s[came.peer] = max(at_s, came.header.time_s)
        heapq.heappush(self._kept, (at_s, self._count, came))
        self._count += 1

    def _take(self) -> Delivery | Left:
        _, _, came = heapq.heappop(self._kept)
        if isinstance(came, Delivery) and not came.header.control:
            self._received_bytes += came.header.payload_bytes
        return came


def carrier(program: Program, path: Path, losses: Losses) -> Carrier:
    """What carries the messages of `program` over the links of the file `path`, which `write_links` made.

    Raises:
        InputError: the file is missing or damaged, or was written on another machine.
        WireError: what the parties share cannot be opened.
    """
    links = read_links(path)
    try:
        board = Board(path.with_name(BOARD_FILE), links.media)
    except OSError as fault:
        raise WireError(f"cannot share the state of the links: {fault.strerror}", where=str(path)) from fault
    return Carrier(program, links, board, losses)
