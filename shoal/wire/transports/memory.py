"""Parties as threads of one process: the in-memory twin of every other transport."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import WireError
from shoal.program import CLIENT, Header, Program
from shoal.wire.contract import Delivery, Left
from shoal.wire.slots import ThreadSlots, thread_slots
from shoal.wire.topology import edges_from, flat, peers, target_of


@dataclass(frozen=True, eq=False)
class Memory:
    """Threads of one process. All parties share one instance; an address is the unit's name."""

    wait_s: float = 30.0  # how long the client waits for a unit, in seconds

    @cached_property
    def _hub(self) -> _Hub:
        return _Hub()

    def worker(self, name: str, program: Program, address: str, announce: Callable[[str], None]) -> MemoryEndpoint:
        """The endpoint of the unit `name`, once all its peers are there.

        Raises:
            WireError: the name is taken.
        """
        endpoint = MemoryEndpoint(self._hub, name, program, address or name)
        self._hub.join(endpoint)
        announce(endpoint.address)
        self._hub.wait(endpoint, None)
        return endpoint

    def client(self, program: Program, addresses: Mapping[str, str]) -> MemoryEndpoint:
        """The coordinator's endpoint, once all units are there.

        Raises:
            WireError: a unit is not there in time, or runs another program.
        """
        endpoint = MemoryEndpoint(self._hub, CLIENT, program, CLIENT)
        for unit, address in addresses.items():
            self._hub.meet(unit, address, program, self.wait_s)
        self._hub.join(endpoint)
        self._hub.wait(endpoint, self.wait_s)
        return endpoint


class MemoryEndpoint:
    """One thread's end. Payloads are copied into the edge's slots, unless they were written there."""

    def __init__(self, hub: _Hub, name: str, program: Program, address: str) -> None:
        self.name, self.program, self.address = name, program, address
        self.inbox: SimpleQueue[Delivery | Left | None] = SimpleQueue()  # None: woken
        self.links: dict[str, MemoryEndpoint] = {}
        self.slots: dict[int, ThreadSlots] = {}
        self.met: set[str] = set()
        self._hub = hub
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
        """None: nobody measures them here."""
        return {}

    def buffer(self, edge: int, dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic] | None:
        """A free slot of `edge`, or None."""
        return self.slots[edge].lend(dtype, shape)

    def send(self, header: Header, array: NDArray[Any] | None, peer: str | None = None) -> None:
        """Put the message into the target's inbox; waits only beyond the edge's buffer."""
        target = target_of(self.program, header, self.name, peer)
        payload = flat(self.program, header, array, self.name)
        if target not in self.met:
            raise WireError(f"has no connection with '{target}'", where=self.name)
        link = self.links.get(target)
        if link is None:
            return
        if header.control:
            copy = None if payload is None else payload.copy()
            link.inbox.put(Delivery(self.name, header, copy))
            return
        slots = self.slots[header.edge]
        slot = slots.claim(array)
        if slot < 0:
            slot = slots.wait()
            if slot < 0:
                return
            if payload is not None:
                slots.view(slot, "uint8", payload.shape)[:] = payload
        view = None if payload is None else slots.view(slot, header.dtype, header.shape)
        if view is not None:
            view.flags.writeable = False
        self._sent_bytes += header.payload_bytes
        link.inbox.put(Delivery(self.name, header, view, slot))

    def receive(self, timeout_s: float | None) -> Delivery | Left | None:
        """The next delivery of any peer."""
        try:
            found = self.inbox.get(timeout=timeout_s) if timeout_s != 0 else self.inbox.get_nowait()
        except Empty:
            return None
        if isinstance(found, Delivery) and not found.header.control:
            self._received_bytes += found.header.payload_bytes
            if found.array is None:
                self.slots[found.header.edge].give(found.slot)
        return found

    def wake(self) -> None:
        """Let `receive` return."""
        self.inbox.put(None)

    def release(self, delivery: Delivery) -> None:
        """Give the delivery's slot back to its sender."""
        if delivery.slot >= 0:
            self.slots[delivery.header.edge].give(delivery.slot)

    def close(self) -> None:
        """Leave; every peer hears of it."""
        self._hub.leave(self)


class _Hub:
    """Who is there. Linking two parties makes the slots of the edges between them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._seats: dict[str, MemoryEndpoint] = {}

    def meet(self, unit: str, address: str, program: Program, wait_s: float) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._at(address) is not None, wait_s):
                raise WireError("cannot be reached", where=unit, had=f"nobody at '{address}'")
            found = self._at(address)
            if found is not None and found.program.hash != program.hash:
                raise WireError(
                    "runs another program", where=unit,
                    needed=program.hash.hex(), had=found.program.hash.hex(),
                    hint="deploy the same bundle set to every device",
                )  # fmt: skip

    def join(self, endpoint: MemoryEndpoint) -> None:
        with self._changed:
            if endpoint.name in self._seats:
                raise WireError("is already there", where=endpoint.name)
            for peer in peers(endpoint.program, endpoint.name):
                other = self._seats.get(peer)
                if other is not None and other.program.hash == endpoint.program.hash:
                    _link(endpoint, other)
            self._seats[endpoint.name] = endpoint
            self._changed.notify_all()

    def wait(self, endpoint: MemoryEndpoint, wait_s: float | None) -> None:
        expected = set(peers(endpoint.program, endpoint.name))
        with self._changed:
            if not self._changed.wait_for(lambda: expected <= endpoint.met, wait_s):
                missing = ", ".join(sorted(expected - endpoint.met))
                del self._seats[endpoint.name]
                raise WireError("not everyone is there", where=endpoint.name, needed=missing)

    def leave(self, endpoint: MemoryEndpoint) -> None:
        with self._changed:
            if self._seats.get(endpoint.name) is endpoint:
                del self._seats[endpoint.name]
            for other in endpoint.links.values():
                del other.links[endpoint.name]
                other.inbox.put(Left(endpoint.name, "closed its connection"))
            endpoint.links.clear()
            for slots in endpoint.slots.values():
                slots.close()

    def _at(self, address: str) -> MemoryEndpoint | None:
        return next((seat for seat in self._seats.values() if seat.address == address), None)


def _link(one: MemoryEndpoint, other: MemoryEndpoint) -> None:
    program = one.program
    between = (*edges_from(program, one.name, other.name), *edges_from(program, other.name, one.name))
    slots = thread_slots(program, between)
    for here, there in ((one, other), (other, one)):
        here.slots.update(slots)
        here.links[there.name] = there
        here.met.add(there.name)
