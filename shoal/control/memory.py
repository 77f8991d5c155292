"""A control plane within one process, for tests and trials: the same promises, without a network.

hub = MemoryHub()
desk, control = hub.desk("nano"), hub.control()
hub.cut("nano")   # as if it were killed, frozen or unplugged, the moment that is noticed
hub.mend("nano")
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late

from shoal.control.contract import Control, Desk
from shoal.control.faults import check_there, late, left
from shoal.control.handling import Handler, Handling
from shoal.control.judge import consider, twice
from shoal.control.messages import granted, pack_request, unpack_reply
from shoal.control.register import Register
from shoal.control.values import Announcement, Reply, Request, Sighting, Vitals
from shoal.errors import WireError


class MemoryHub:
    """Where the desks and controls of one process meet."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.desks: dict[str, MemoryDesk] = {}  # who holds a name
        self.controls: list[MemoryControl] = []
        self._cut: set[str] = set()

    def desk(self, name: str) -> Desk:
        """A device's end."""
        return MemoryDesk(self, name)

    def control(self) -> Control:
        """A coordinator's end."""
        with self.lock:
            control = MemoryControl(self)
            self.controls.append(control)
            for name in self.desks:
                self.show(name)
        return control

    def cut(self, name: str) -> None:
        """Take the device `name` off the network; its desk does not notice."""
        with self.lock:
            self._cut.add(name)
            self.show(name)

    def mend(self, name: str) -> None:
        """Put it back."""
        with self.lock:
            self._cut.discard(name)
            self.show(name)

    def reaches(self, name: str) -> bool:
        """Whether the device is on the network."""
        return name not in self._cut

    def show(self, name: str) -> None:
        """Let all coordinators see the device that holds `name`, or that it is not there; the lock is held."""
        desk = self.desks.get(name)
        for register in self.registers() if desk else ():
            if desk and desk.announcement and self.reaches(name):
                register.came(name, desk.boot)
                register.claim(name, desk.boot, 0.0)
                register.judged(name, desk.boot, consider(name, desk.announcement))
            elif desk:
                register.went(name, desk.boot)

    def registers(self) -> Iterator[Register]:
        """What every coordinator keeps."""
        return (control.register for control in self.controls)


class MemoryDesk:
    """A device's end."""

    def __init__(self, hub: MemoryHub, name: str) -> None:
        self.name = name
        self.boot = ""
        self.announcement: Announcement | None = None
        self.handling = Handling(name)
        self._hub = hub

    def announce(self, announcement: Announcement) -> None:
        """Be there. See `Desk`."""
        with self._hub.lock:
            if not self._hub.reaches(self.name):
                raise WireError("the hub does not answer", where=self.name)
            holder = self._hub.desks.setdefault(self.name, self)
            if holder is not self:
                refused = twice(self.name, holder.announcement.host if holder.announcement else "")
                for register in self._hub.registers():
                    register.second(self.name)
            else:
                self.announcement, self.boot = announcement, announcement.boot
                self._hub.show(self.name)
                refused = consider(self.name, announcement).refused
        if refused:
            raise WireError(f"the hub refused this device: {refused}", where=self.name)

    def tell(self, vitals: Vitals) -> None:
        """Say how the device is."""
        with self._hub.lock:
            for register in self._hub.registers() if self._hub.reaches(self.name) else ():
                register.told(self.name, self.boot, vitals)

    def answer(self, handler: Handler) -> None:
        """Let `handler` answer requests. See `Desk`."""
        self.handling.handler = handler

    def close(self) -> None:
        """Be gone."""
        with self._hub.lock:
            self.announcement = None
            if self._hub.desks.get(self.name) is self:
                self._hub.show(self.name)
                del self._hub.desks[self.name]


class MemoryControl:
    """A coordinator's end."""

    def __init__(self, hub: MemoryHub) -> None:
        self.register = Register()
        self._hub = hub

    def sightings(self) -> Mapping[str, Sighting]:
        """All devices that were ever seen in this session, by name."""
        return self.register.sightings()

    def watch(self, changed: Callable[[Sighting], None]) -> None:
        """Call `changed` with every change from now on. See `Control`."""
        self.register.watch(changed)

    def ask(self, device: str, request: Request, timeout_s: float) -> Reply:
        """Ask a device and wait for its reply. See `Control`."""
        check_there(device, self.sightings().get(device))
        data = pack_request(request)
        desk = self._hub.desks.get(device)
        if desk is None:
            raise left(device)
        answer: Future[bytes] = Future()
        desk.handling.take(data, answer.set_result)
        try:
            return granted(unpack_reply(answer.result(timeout_s), device), device)
        except Late:
            raise late(device, timeout_s) from None

    def close(self) -> None:
        """End the session."""
        with self._hub.lock:
            self._hub.controls.remove(self)
        self.register.close()
