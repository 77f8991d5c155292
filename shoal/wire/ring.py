"""An endpoint over shared memory: one thread, one memory per peer, headers over a Unix socket.

The sender takes a slot, fills it (or has had it filled through `buffer`), and sends the slot's number and
the header. The reader frees the slot by clearing its flag in the memory, so freeing costs nobody a wake-up.
What a socket does not take at once (hundreds of headers, a long control message) is kept and goes on at the
next call of any method; waiting always reads as well, so two that send to each other do not block each other.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import WireError
from shoal.program import HEADER_BYTES, Header, Program
from shoal.program.message import pack, unpack
from shoal.wire.contract import Delivery, Left
from shoal.wire.slots import Slots, lay_out
from shoal.wire.talk import Link
from shoal.wire.topology import check_way, edges_from, flat, target_of

FLUSH_S = 5.0  # how long closing waits for peers to take the headers that were sent
_SLOT = struct.Struct("<i")
_FRAME_BYTES = _SLOT.size + HEADER_BYTES
_SELECT_LIMIT = 1024  # select takes descriptors below this one
_READ_BYTES = 1 << 16
_SLOT_WAIT_S = 0.0005  # between two looks for a free slot; only beyond the edge's buffer
_OUT = select.EPOLLOUT if hasattr(select, "EPOLLOUT") else 0
_IN = select.EPOLLIN if hasattr(select, "EPOLLIN") else 0


def shared_bytes(program: Program, one: str, other: str) -> int:
    """Size of the memory that two parties share: the slots of all edges between them, both ways."""
    return lay_out(program, _between(program, one, other))[1]


class RingEndpoint:
    """One process's end of all its rings. Reads only when it is asked to: payloads wait in the rings."""

    def __init__(self, name: str, program: Program, links: Mapping[str, Link]) -> None:
        self._name, self._program = name, program
        self._inbox: deque[Delivery | Left] = deque()
        self._epoll = select.epoll()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._alarm, _IN)
        self._woken = False
        self._peers: dict[str, _Peer] = {}
        self._by_descriptor: dict[int, _Peer] = {}
        self._sent_bytes = self._received_bytes = 0
        try:
            rings = {link.peer: _rings(program, name, link) for link in links.values()}
        except WireError:
            for link in links.values():
                link.sock.close()
            raise
        for link in links.values():
            self._add(link, rings[link.peer])

    def _add(self, link: Link, rings: dict[int, Slots]) -> None:
        assert isinstance(link.sock, socket.socket)  # never TLS: memory is shared on one host
        link.sock.setblocking(False)
        peer = _Peer(link.peer, link.sock, rings)
        self._peers[link.peer] = peer
        self._by_descriptor[link.sock.fileno()] = peer
        self._epoll.register(link.sock, _IN)

    @property
    def sent_bytes(self) -> int:
        """Payload bytes of tensors sent so far."""
        return self._sent_bytes

    @property
    def received_bytes(self) -> int:
        """Payload bytes of tensors received so far."""
        return self._received_bytes

    def rates(self) -> Mapping[str, float]:
        """None: nobody measures them here."""
        return {}

    def buffer(self, edge: int, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic] | None:
        """A free slot of `edge` in the memory its reader sees, or None."""
        return self._peers[self._program.edges[edge].target].rings[edge].lend(dtype, shape)

    def send(self, header: Header, array: NDArray[Any] | None, peer: str | None = None) -> None:
        """Put the payload into a slot unless it is there already, and send its header."""
        target = target_of(self._program, header, self._name, peer)
        payload = flat(self._program, header, array, self._name)
        if target not in self._peers:
            raise WireError(f"has no connection with '{target}'", where=self._name)
        to = self._peers[target]
        if not to.open:
            return
        head = pack(header, self._program.hash, self._program.protocol)
        if header.control:
            self._write(to, _SLOT.pack(-1) + head + (b"" if payload is None else payload.tobytes()))
            return
        slot = self._fill(to, header, array, payload)
        if slot >= 0:
            self._sent_bytes += header.payload_bytes
            self._write(to, _SLOT.pack(slot) + head)

    def receive(self, timeout_s: float | None) -> Delivery | Left | None:
        """The next delivery of any peer."""
        if not self._inbox:
            until = None if timeout_s is None else time.monotonic() + timeout_s
            self._pump(timeout_s)
            while not self._inbox:
                left = None if until is None else until - time.monotonic()
                if self._woken or (left is not None and left <= 0):
                    self._woken = False
                    return None
                self._pump(left)
        found = self._inbox.popleft()
        if isinstance(found, Delivery) and not found.header.control:
            self._received_bytes += found.header.payload_bytes
            if found.array is None:
                self._give_back(found)
        return found

    def wake(self) -> None:
        """Let `receive` return."""
        os.eventfd_write(self._alarm, 1)

    def release(self, delivery: Delivery) -> None:
        """Free the delivery's slot."""
        if delivery.slot >= 0:
            self._give_back(delivery)

    def close(self) -> None:
        """Send what is still to be sent, then end all connections."""
        if self._epoll.closed:
            return
        until = time.monotonic() + FLUSH_S
        while any(peer.backlog for peer in self._peers.values()) and (left := until - time.monotonic()) > 0:
            self._pump(left)
        for peer in self._peers.values():
            peer.open = False
            peer.sock.close()
            peer.rings.clear()
        self._inbox.clear()
        self._epoll.close()
        os.close(self._alarm)

    def _give_back(self, delivery: Delivery) -> None:
        ring = self._peers[delivery.peer].rings.get(delivery.header.edge)
        if ring is not None:  # None: closed meanwhile
            ring.give(delivery.slot)

    def _fill(
        self, to: _Peer, header: Header, array: NDArray[Any] | None, payload: NDArray[np.uint8] | None
    ) -> int:
        """The slot that holds the payload; -1 if the peer left while none was free."""
        ring = to.rings[header.edge]
        slot = ring.claim(array)
        if slot >= 0:
            return slot
        while (slot := ring.take()) < 0:
            self._pump(_SLOT_WAIT_S)
            if not to.open:
                return -1
        if payload is not None:
            np.copyto(ring.view(slot, "uint8", payload.shape), payload)
        return slot

    def _write(self, to: _Peer, data: bytes) -> None:
        to.backlog += data
        self._flush(to)

    def _flush(self, to: _Peer) -> None:
        try:
            while to.backlog:
                del to.backlog[: to.sock.send(to.backlog)]
        except BlockingIOError:
            pass
        except OSError:  # it left; reading will tell
            to.backlog.clear()
        if bool(to.backlog) != to.waiting:
            to.waiting = not to.waiting
            self._epoll.modify(to.sock, _IN | (_OUT if to.waiting else 0))

    def _pump(self, timeout_s: float | None) -> None:
        """Read what has come and write what can go; wait for that at most `timeout_s`."""
        if timeout_s:  # epoll itself would count in whole milliseconds
            fine = self._epoll.fileno() < _SELECT_LIMIT
            select.select([self._epoll], [], [], timeout_s) if fine else self._epoll.poll(timeout_s)
        for descriptor, events in self._epoll.poll(-1 if timeout_s is None else 0):
            if descriptor == self._alarm:
                self._woken = bool(os.eventfd_read(self._alarm))
                continue
            peer = self._by_descriptor[descriptor]
            if events & _OUT:
                self._flush(peer)
            if events & ~_OUT:
                self._read(peer)

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as fault:
            self._leave(peer, f"lost its connection: {fault.strerror}")
            return
        if not data:
            self._leave(peer, "ended in the middle of a message" if peer.data else "closed its connection")
            return
        peer.data += data
        try:
            while (used := self._deliver(peer)) > 0:
                del peer.data[:used]
        except WireError as fault:
            self._leave(peer, fault.message)

    def _deliver(self, peer: _Peer) -> int:
        """Put the first message of what was read into the inbox; its length, 0 if it is not complete."""
        if len(peer.data) < _FRAME_BYTES:
            return 0
        (slot,) = _SLOT.unpack_from(peer.data)
        header = unpack(bytes(peer.data[_SLOT.size : _FRAME_BYTES]), self._program, peer.name)
        check_way(self._program, header, peer.name, self._name)
        if header.control:
            end = _FRAME_BYTES + header.payload_bytes
            if len(peer.data) < end:
                return 0
            text = np.frombuffer(bytes(peer.data[_FRAME_BYTES:end]), np.uint8)
            self._inbox.append(Delivery(peer.name, header, text))
            return end
        ring = peer.rings[header.edge]
        if not ring.taken(slot):
            raise WireError(f"named slot {slot}, which holds no message", where=peer.name)
        view = None if header.empty else ring.view(slot, header.dtype, header.shape)
        if view is not None:
            view.flags.writeable = False
        self._inbox.append(Delivery(peer.name, header, view, slot))
        return _FRAME_BYTES

    def _leave(self, peer: _Peer, why: str) -> None:
        peer.open = False
        peer.backlog.clear()
        del self._by_descriptor[peer.sock.fileno()]
        self._epoll.unregister(peer.sock)
        peer.sock.close()
        self._inbox.append(Left(peer.name, why))


@dataclass(slots=True)
class _Peer:
    name: str
    sock: socket.socket
    rings: dict[int, Slots]
    data: bytearray = field(default_factory=bytearray)  # read, not yet a whole message
    backlog: bytearray = field(default_factory=bytearray)  # to be written
    waiting: bool = False  # for the socket to take the backlog
    open: bool = True


def _between(program: Program, one: str, other: str) -> tuple[int, ...]:
    return tuple(sorted({*edges_from(program, one, other), *edges_from(program, other, one)}))


def _rings(program: Program, name: str, link: Link) -> dict[int, Slots]:
    """The slots of all edges between `name` and the peer, in the memory that came with its hello.

    Raises:
        WireError: the peer sent no memory, or too little.
    """
    places, size = lay_out(program, _between(program, name, link.peer))
    if link.descriptor < 0:
        raise WireError("shares no memory", where=link.peer)
    try:
        had = os.fstat(link.descriptor).st_size
        if had < size or not fcntl.fcntl(link.descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
            raise WireError("shares memory that may end", where=link.peer, needed=f"{size} B", had=f"{had} B")
        memory = mmap.mmap(link.descriptor, size)
    finally:
        os.close(link.descriptor)
    return {index: Slots(memory, place) for index, place in places.items()}
