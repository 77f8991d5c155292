"""An endpoint over MPI: headers and payloads as messages of their own, payloads straight from slot to slot.

MPI works only inside its calls, so all progress is made inside the methods here. Each peer's messages are
taken strictly in order: a header, then its payload, then the next header.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import WireError
from shoal.program import HEADER_BYTES, Header, Program
from shoal.program.message import pack, unpack
from shoal.wire.contract import Delivery, Left
from shoal.wire.slots import Slots, private_slots
from shoal.wire.topology import check_way, edges_from, flat, peers, target_of

FLUSH_S = 5.0  # how long closing waits for peers to take what was sent
_HEAD, _BODY, _BYE = 1, 2, 3  # tags
_FIRST_NAP_S = 20e-6


class RankEndpoint:
    """One rank's end. `communicator` is a duplicate of its own, rank i being the program's i-th party."""

    def __init__(self, name: str, program: Program, communicator: Any, nap_s: float) -> None:
        self._name, self._program, self._comm, self._nap_s = name, program, communicator, nap_s
        self._peers = {
            peer: _Peer(
                peer,
                program.parties.index(peer),
                private_slots(program, edges_from(program, peer, name)),
                private_slots(program, edges_from(program, name, peer)),
            )
            for peer in peers(program, name)
        }
        self._inbox: deque[Delivery | Left] = deque()
        self._sendings: list[_Sending] = []
        self._woken = False
        self._sent_bytes = self._received_bytes = 0
        self._closed = False

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
        """A free slot of `edge` that MPI can send from, or None."""
        self._pump()  # what was sent meanwhile frees its slot
        return self._peers[self._program.edges[edge].target].outgoing[edge].lend(dtype, shape)

    def send(self, header: Header, array: NDArray[Any] | None, peer: str | None = None) -> None:
        """Start sending; how far a large payload gets before the next call of any method is up to MPI."""
        target = target_of(self._program, header, self._name, peer)
        payload = flat(self._program, header, array, self._name)
        if target not in self._peers:
            raise WireError(f"has no connection with '{target}'", where=self._name)
        to = self._peers[target]
        if not to.open:
            return
        slots = None if header.control else to.outgoing[header.edge]
        lent = slots.claim(array) if slots else -1
        sending = _Sending(to, slots, lent)
        if payload is not None and lent < 0:
            payload = self._copied(sending, payload)
        if to.open:
            self._start(sending, header, payload)

    def _copied(self, sending: _Sending, payload: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The payload in a free slot of its edge; waits for one only beyond the edge's buffer."""
        slots = sending.slots
        if slots is None:
            return payload.copy()
        while (slot := slots.take()) < 0 and sending.to.open:
            self._pump()
            time.sleep(_FIRST_NAP_S)
        if slot < 0:
            return payload
        sending.slot = slot
        copy = slots.view(slot, "uint8", payload.shape)
        np.copyto(copy, payload)
        return copy

    def _start(self, sending: _Sending, header: Header, payload: NDArray[np.uint8] | None) -> None:
        head = np.frombuffer(pack(header, self._program.hash, self._program.protocol), np.uint8)
        self._post(sending, head, _HEAD)
        if payload is not None and payload.size:
            self._post(sending, payload, _BODY)
        self._sendings.append(sending)
        if not header.control:
            self._sent_bytes += header.payload_bytes
        self._pump()

    def _post(self, sending: _Sending, data: NDArray[np.uint8], tag: int) -> None:
        sending.requests.append((self._comm.Isend(data, sending.to.rank, tag), data))

    def receive(self, timeout_s: float | None) -> Delivery | Left | None:
        """The next delivery of any peer. Waits by looking and sleeping in turn."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        nap_s = _FIRST_NAP_S
        self._pump()
        while not self._inbox:
            left = inf if until is None else until - time.monotonic()
            if left <= 0 or self._woken:
                self._woken = False
                return None
            time.sleep(min(nap_s, left))
            nap_s = min(2 * nap_s, self._nap_s)
            self._pump()
        found = self._inbox.popleft()
        if isinstance(found, Delivery) and not found.header.control:
            self._received_bytes += found.header.payload_bytes
            if found.array is None:
                self.release(found)
        return found

    def wake(self) -> None:
        """Let `receive` return, at its next look."""
        self._woken = True

    def release(self, delivery: Delivery) -> None:
        """Give the delivery's slot back."""
        if delivery.slot >= 0:
            self._peers[delivery.peer].incoming[delivery.header.edge].give(delivery.slot)

    def close(self) -> None:
        """Finish what was sent and say goodbye to every peer."""
        if self._closed:
            return
        self._closed = True
        for peer in self._peers.values():
            if peer.open:
                bye = _Sending(peer)
                self._post(bye, np.zeros(1, np.uint8), _BYE)
                self._sendings.append(bye)
        until = time.monotonic() + FLUSH_S
        while any(sending.to.open for sending in self._sendings) and time.monotonic() < until:
            self._pump()
            time.sleep(_FIRST_NAP_S)
        self._inbox.clear()

    def _pump(self) -> None:
        """Let MPI work, and take in what has come."""
        self._sendings = [sending for sending in self._sendings if not sending.done()]
        for peer in self._peers.values():
            try:
                while peer.open and self._advance(peer):
                    pass
            except WireError as fault:
                self._leave(peer, fault.message)

    def _advance(self, peer: _Peer) -> bool:
        """One step with `peer`: a header, a place for its payload, the payload. False: nothing to do now."""
        if peer.head is None:
            return self._probe(peer)
        if peer.array is None:
            return self._place(peer, peer.head)
        if peer.body is not None and not peer.body.Test():
            return False
        self._deliver(peer, peer.head, peer.array)
        return True

    def _probe(self, peer: _Peer) -> bool:
        message = self._comm.Improbe(peer.rank)
        if message is None:
            return False
        data = bytearray(HEADER_BYTES)
        status = _status()
        message.Recv(data, status)
        if status.Get_tag() == _BYE:
            self._leave(peer, "closed its connection")
            return True
        if status.Get_tag() != _HEAD or status.Get_count() != HEADER_BYTES:
            raise WireError("sent a payload without its header", where=peer.name)
        head = unpack(bytes(data), self._program, peer.name)
        check_way(self._program, head, peer.name, self._name)
        peer.head = head
        return True

    def _place(self, peer: _Peer, head: Header) -> bool:
        """Find memory for the payload and start receiving into it."""
        if head.control:
            peer.array = np.empty(head.payload_bytes, np.uint8)
        else:
            slots = peer.incoming[head.edge]
            peer.slot = slots.take()
            if peer.slot < 0:
                return False
            peer.array = slots.view(peer.slot, "uint8", (head.payload_bytes,))
        if head.payload_bytes:
            peer.body = self._comm.Irecv(peer.array, peer.rank, _BODY)
        return True

    def _deliver(self, peer: _Peer, head: Header, array: NDArray[np.uint8]) -> None:
        found: NDArray[Any] | None = None
        if not head.empty:
            found = array if head.control else array.view(head.dtype).reshape(head.shape)
            found.flags.writeable = False
        self._inbox.append(Delivery(peer.name, head, found, peer.slot))
        peer.head = peer.body = peer.array = None
        peer.slot = -1

    def _leave(self, peer: _Peer, why: str) -> None:
        peer.open = False
        self._inbox.append(Left(peer.name, why))


@dataclass(slots=True)
class _Peer:
    """A peer's rank and what is coming from it: header first, then memory, then the request that fills it."""

    name: str
    rank: int
    incoming: dict[int, Slots]
    outgoing: dict[int, Slots]
    head: Header | None = None
    slot: int = -1
    array: NDArray[np.uint8] | None = None
    body: Any = None
    open: bool = True


class _Sending:
    """Requests with their memory, which must stay until they end, and the slot to free then."""

    def __init__(self, to: _Peer, slots: Slots | None = None, slot: int = -1) -> None:
        self.to, self.slots, self.slot = to, slots, slot
        self.requests: list[tuple[Any, NDArray[np.uint8]]] = []

    def done(self) -> bool:
        """Whether MPI has finished; the slot is then free."""
        self.requests = [(request, data) for request, data in self.requests if not request.Test()]
        if self.requests:
            return False
        if self.slots is not None and self.slot >= 0:
            self.slots.give(self.slot)
        return True


def _status() -> Any:
    from mpi4py import MPI

    return MPI.Status()
