"""An endpoint over stream sockets: per connection a thread that reads and, on a slow link, one that writes.

The reader drains its socket into the edges' slots while the owner computes. A send hands the kernel what it
takes at once, straight from the caller's array; only the rest is copied into a slot and left to the writer.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import WireError
from shoal.program import CLIENT, HEADER_BYTES, Header, Program
from shoal.program.message import pack, unpack
from shoal.wire.beats import BEAT, Beats
from shoal.wire.contract import Delivery, Left
from shoal.wire.slots import ThreadSlots, thread_slots
from shoal.wire.socks import Stream, after
from shoal.wire.talk import GATHER_S, Link
from shoal.wire.topology import check_way, edges_from, flat, target_of

FLUSH_S = 5.0  # how long closing waits for a slow link to take what was sent
PART_S = 1.0  # how long closing waits for peers to have read what was sent
BEATS_MISSED = 3  # how many beats a peer may miss
MEET_S = GATHER_S  # how long its first one may take
CONTROL_STEP_BYTES = 1 << 16
GRACE_S = 10.0  # how long a buffer may stay overfull before its writer counts as breaking the rules


class StreamEndpoint:
    """One party's end of all its stream connections."""

    def __init__(self, name: str, program: Program, links: Mapping[str, Link], beat_s: float = 0.0) -> None:
        """`beat_s`: give a sign of life on every connection that long after the last byte; 0: never."""
        self._name, self._program = name, program
        self._inbox: SimpleQueue[Delivery | Left | None] = SimpleQueue()  # None: woken
        self._connections = {
            peer: _Connection(name, program, link, self._inbox, beat_s) for peer, link in links.items()
        }
        self._beats = Beats(self._connections.values(), beat_s) if beat_s else None
        self._sent_bytes = self._received_bytes = 0

    @property
    def sent_bytes(self) -> int:
        """Payload bytes of tensors sent so far."""
        return self._sent_bytes

    @property
    def received_bytes(self) -> int:
        """Payload bytes of tensors received so far."""
        return self._received_bytes

    def rates(self) -> Mapping[str, float]:
        """By peer: bytes per second that its link took lately when it was what limited sending; as far as known."""
        known = {peer: connection.rate_bytes_per_s() for peer, connection in self._connections.items()}
        return {peer: rate for peer, rate in known.items() if rate}

    def buffer(self, edge: int, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic] | None:
        """A free slot of `edge`, or None. Saves a copy when the link is slow."""
        return self._connections[self._program.edges[edge].target].outgoing[edge].lend(dtype, shape)

    def send(self, header: Header, array: NDArray[Any] | None, peer: str | None = None) -> None:
        """Send, without waiting for the link unless more than the edge's buffer is under way."""
        target = target_of(self._program, header, self._name, peer)
        payload = flat(self._program, header, array, self._name)
        if target not in self._connections:
            raise WireError(f"has no connection with '{target}'", where=self._name)
        if self._connections[target].send(header, array, payload) and not header.control:
            self._sent_bytes += header.payload_bytes

    def receive(self, timeout_s: float | None) -> Delivery | Left | None:
        """The next delivery of any peer."""
        try:
            found = self._inbox.get(timeout=timeout_s) if timeout_s != 0 else self._inbox.get_nowait()
        except Empty:
            return None
        if isinstance(found, Delivery) and not found.header.control:
            self._received_bytes += found.header.payload_bytes
            if found.array is None:
                self._give_back(found)
        return found

    def wake(self) -> None:
        """Let `receive` return."""
        self._inbox.put(None)

    def release(self, delivery: Delivery) -> None:
        """Give the delivery's slot back."""
        if delivery.slot >= 0:
            self._give_back(delivery)

    def close(self) -> None:
        """Write what is still to be written, then end all connections and their threads."""
        if self._beats is not None:
            self._beats.close()
        for connection in self._connections.values():
            connection.begin_close()
        for connection in self._connections.values():
            connection.flush()
        until_s = time.monotonic() + PART_S
        for connection in self._connections.values():
            connection.end_close(until_s)

    def _give_back(self, delivery: Delivery) -> None:
        self._connections[delivery.peer].incoming[delivery.header.edge].give(delivery.slot)


@dataclass(slots=True)
class _Parcel:
    """What the kernel did not take at once. `slot` (of `slots`) holds the payload, -1 if it has none."""

    parts: list[memoryview]
    slots: ThreadSlots | None = None
    slot: int = -1

    def free(self) -> None:
        if self.slots is not None and self.slot >= 0:
            self.slots.give(self.slot)


class _Connection:
    """One peer: its reader thread, its writer thread once there is need of it, and the slots of its edges."""

    def __init__(
        self, name: str, program: Program, link: Link, inbox: SimpleQueue[Delivery | Left | None], beat_s: float
    ) -> None:
        peer = link.peer
        self._name, self._program, self._peer, self._inbox = name, program, peer, inbox
        self._stream = Stream(link.sock)
        self._turn = threading.Lock()  # of who begins a message; held until the rest of it, if any, is a parcel
        self._patience_s = BEATS_MISSED * max(beat_s, link.beat_s) if beat_s and link.beat_s else math.inf
        self._heard = name == CLIENT  # in this run; to the client all have said that they are ready
        self._why = ""  # we ended it
        self.outgoing = thread_slots(program, edges_from(program, name, peer))
        self.incoming = thread_slots(program, edges_from(program, peer, name))
        self._parcels: deque[_Parcel] = deque()
        self._changed = threading.Condition()
        self._over = False  # nothing can be sent any more
        self._closing = False
        self._writer: threading.Thread | None = None
        self._reader = threading.Thread(target=self._read, name=f"shoal reads {peer}", daemon=True)
        self._reader.start()

    def send(self, header: Header, array: NDArray[Any] | None, payload: NDArray[np.uint8] | None) -> bool:
        """Whether the message went off; False if the peer has left."""
        with self._turn:
            return self._send(header, array, payload)

    def beat(self) -> None:
        """Give a sign of life, unless a message is on its way, which is one."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            if not self._parcels and not self._over:
                self._send(BEAT, None, None)
        finally:
            self._turn.release()

    def idle_s(self) -> float:
        """Seconds since anything went to the peer."""
        return 0.0 if self._over else self._stream.idle_s()

    def rate_bytes_per_s(self) -> float:
        """What the link took lately when it was what limited sending; 0: not known."""
        return 0.0 if self._over else self._stream.rate_bytes_per_s()

    def check(self, awake_s: float) -> None:
        """End the connection if the peer has been silent for too long while we were awake.

        A unit's peer may still be busy meeting others before its first message.
        """
        limit_s = self._patience_s if self._heard else max(self._patience_s, MEET_S)
        if self._over or math.isinf(limit_s):
            return
        silent_s = self._stream.silent_s()
        if min(silent_s, awake_s) >= limit_s:
            self._why = f"not heard for {silent_s:.1f} s"
            for slots in self.incoming.values():
                slots.close()
            self._break()

    def _send(self, header: Header, array: NDArray[Any] | None, payload: NDArray[np.uint8] | None) -> bool:
        slots = None if header.control else self.outgoing[header.edge]
        lent = slots.claim(array) if slots else -1
        parts = [memoryview(pack(header, self._program.hash, self._program.protocol))]
        if payload is not None and payload.size:
            parts.append(payload.data)
        taken = self._write_now(parts)
        parcel = _Parcel(parts, slots, lent)
        if self._over or (taken == HEADER_BYTES + header.payload_bytes and not self._stream.unsent):
            parcel.free()
            return not self._over
        parcel.parts = after(parts, taken)
        if lent < 0 and len(parts) > 1 and parcel.parts:
            self._keep(parcel)
        return self._queue(parcel)

    def _write_now(self, parts: list[memoryview]) -> int:
        """How many bytes the kernel took at once; none while others wait before."""
        if self._parcels or self._over:  # only who has the turn, which we do, adds parcels
            return 0
        try:
            return self._stream.write_now(parts)
        except OSError:
            self._break()
            return 0

    def _keep(self, parcel: _Parcel) -> None:
        """Copy the payload that is left into a slot, so that the caller may use its array again."""
        payload = parcel.parts.pop()
        if parcel.slots is None:
            parcel.parts.append(memoryview(bytes(payload)))
            return
        parcel.slot = parcel.slots.wait()
        if parcel.slot >= 0:
            copy = parcel.slots.view(parcel.slot, "uint8", (len(payload),))
            np.copyto(copy, np.frombuffer(payload, np.uint8))
            parcel.parts.append(copy.data)

    def _queue(self, parcel: _Parcel) -> bool:
        with self._changed:
            if self._over:
                parcel.free()
                return False
            self._parcels.append(parcel)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name=f"shoal writes {self._peer}", daemon=True)
                self._writer.start()
            self._changed.notify()
        return True

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._parcels or self._over or self._closing)
                if self._over or not self._parcels:
                    return
                parcel = self._parcels[0]
            try:
                self._stream.write(parcel.parts)
            except OSError:
                self._break()
                return
            with self._changed:
                if self._parcels:
                    self._parcels.popleft()
            parcel.free()

    def _break(self) -> None:
        """Nothing can be sent any more; the reader will see the end of the stream and report it."""
        with self._changed:
            self._over = True
            self._parcels.clear()
            self._changed.notify_all()
        for slots in self.outgoing.values():
            slots.close()
        self._stream.end()

    def _read(self) -> None:
        head = bytearray(HEADER_BYTES)
        try:
            while (filled := self._stream.read_into(memoryview(head))) == HEADER_BYTES:
                header = unpack(memoryview(head), self._program, self._peer)
                self._heard = True
                if not header.beat:
                    self._take(header)
            why = "closed its connection" if not filled else "ended in the middle of a message"
        except WireError as fault:
            why = fault.message
        except OSError as fault:
            why = f"lost its connection: {fault.strerror}"
        self._break()
        if not self._closing:
            self._inbox.put(Left(self._peer, self._why or why))

    def _take(self, header: Header) -> None:
        """Read the payload into its slot and put the delivery into the inbox."""
        check_way(self._program, header, self._peer, self._name)
        if self._closing:
            self._skip(header.payload_bytes)
            return
        if header.control:
            self._inbox.put(Delivery(self._peer, header, self._control(header.payload_bytes)))
            return
        slot = self.incoming[header.edge].wait(GRACE_S)
        if slot < 0 and self._closing:
            self._skip(header.payload_bytes)
            return
        if slot < 0:
            edge = self._program.edges[header.edge]
            raise WireError(
                f"sent more on edge '{edge.name}' than its buffer holds", where=self._peer,
                needed=f"{edge.buffer_items} messages",
            )  # fmt: skip
        view = None if header.empty else self.incoming[header.edge].view(slot, header.dtype, header.shape)
        delivery = Delivery(self._peer, header, view, slot)  # made while the payload is still on its way
        if view is not None and view.size:
            self._fill(view.reshape(-1).view(np.uint8).data)
        if view is not None:
            view.flags.writeable = False
        self._inbox.put(delivery)

    def _control(self, size: int) -> NDArray[np.uint8]:
        """A control message; memory is taken as it comes, for a header may claim more than ever follows."""
        came = bytearray()
        while len(came) < size:
            part = bytearray(min(size - len(came), CONTROL_STEP_BYTES))
            self._fill(memoryview(part))
            came += part
        return np.frombuffer(came, np.uint8)

    def _skip(self, size: int) -> None:
        """Read what nobody wants any more."""
        for start in range(0, size, CONTROL_STEP_BYTES):
            self._fill(memoryview(bytearray(min(size - start, CONTROL_STEP_BYTES))))

    def _fill(self, memory: memoryview) -> None:
        if self._stream.read_into(memory) < len(memory):
            raise WireError("ended in the middle of a message", where=self._peer)

    def begin_close(self) -> None:
        """Deliver nothing more, and let the writer end when it has nothing more to write."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for slots in self.incoming.values():
            slots.close()

    def flush(self) -> None:
        """Wait for the writer, then tell the peer that nothing follows."""
        if self._writer is not None:
            self._writer.join(FLUSH_S)
        self._stream.finish()

    def end_close(self, until_s: float) -> None:
        """Wait for the peer's end, at most `until_s` (monotonic); then end the connection and both threads.

        Closing while something comes, if only a sign of life, would make the kernel throw away what the peer has
        not been given yet.
        """
        self._reader.join(max(0.0, until_s - time.monotonic()))
        self._break()
        self._reader.join()
        if self._writer is not None:
            self._writer.join()
        self._stream.close()
