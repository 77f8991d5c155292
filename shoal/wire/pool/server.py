"""`python -m shoal.wire.pool.server`: owns the shared memory, adds what ports write, and tells who waits."""

from __future__ import annotations

import mmap
import os
import selectors
import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.errors import WireError
from shoal.wire.pool.rounds import Round, Written
from shoal.wire.pool.values import (
    DONE,
    FAULT,
    KINDS,
    LATE,
    LEFT,
    REPLY,
    REQUEST_BYTES,
    WAIT,
    Layout,
    Request,
    unpacked,
)

STRIPE_BYTES = 1 << 18  # one bank's, then the next one's
MEET_S = 60.0  # for all ports to come
HELLO_S = 5.0  # for one that has come to say who it is


class _Waiting(NamedTuple):
    port: int
    request: Request
    until_s: float


class Server:
    """All tensors, and the ports into them. One thread answers; as many as banks add.

    A stripe belongs to one bank, so no two threads add to the same number.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.descriptor = os.memfd_create("shoal-pool", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, layout.bytes)
        self._memory = np.frombuffer(mmap.mmap(self.descriptor, layout.bytes), np.uint8)
        self._rounds = [Round(each) for each in layout.tensors]
        self._banks = ThreadPoolExecutor(layout.banks)
        self._ports: dict[int, socket.socket] = {}
        self._gone: set[int] = set()
        self._waiting: list[_Waiting] = []

    def serve(self, listening: socket.socket) -> None:
        """Serve ports as they come, until all have left.

        Raises:
            WireError: not all ports come.
        """
        meet_s = time.monotonic() + MEET_S
        with selectors.DefaultSelector() as selector:
            selector.register(listening, selectors.EVENT_READ, None)
            while len(self._gone) < self._layout.ports:
                for key, _ in selector.select(self._patience_s(meet_s)):
                    if key.data is None:
                        self._admit(listening, selector)
                    elif not self._heard(key.data):
                        selector.unregister(key.fileobj)
                self._tell()
                if self._missing and time.monotonic() >= meet_s:
                    raise WireError(f"ports {self._missing} do not come", where="the pool")
        self._banks.shutdown()

    @property
    def _missing(self) -> list[int]:
        """Ports that have not come yet."""
        return [port for port in range(self._layout.ports) if port not in self._ports]

    def _admit(self, listening: socket.socket, selector: selectors.BaseSelector) -> None:
        """Let a port in; the folder of the door goes with the last: whoever made it may be killed."""
        end, _ = listening.accept()
        end.settimeout(HELLO_S)
        try:
            port = int.from_bytes(end.recv(8), "little")
            if port in self._missing:
                socket.send_fds(end, [codec.encode(self._layout)], [self.descriptor])
                self._ports[port] = end
        except OSError:
            pass  # it has left again
        if end not in self._ports.values():
            end.close()  # nobody's port: who asked for it finds the connection closed
            return
        selector.register(end, selectors.EVENT_READ, port)
        if not self._missing:
            selector.unregister(listening)
            shutil.rmtree(Path(listening.getsockname()).parent)

    def _patience_s(self, meet_s: float) -> float | None:
        """Until something has to be said though nobody speaks."""
        moments = [each.until_s for each in self._waiting] + ([meet_s] if self._missing else [])
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _heard(self, port: int) -> bool:
        """What a port says; False if it has left."""
        try:
            data = self._ports[port].recv(64 * REQUEST_BYTES)
        except OSError:
            data = b""
        if not data:
            self._gone.add(port)
            return False
        try:
            for request in unpacked(data):
                self._asked(port, request)
        except WireError as fault:
            self._answer(port, FAULT, 0, fault.message)
        return True

    def _asked(self, port: int, request: Request) -> None:
        if request.tensor >= len(self._rounds) or request.number_kind >= len(KINDS):
            raise WireError("no such tensor, or numbers of no known kind", where=f"port {port}")
        if request.kind == WAIT:
            self._waiting.append(_Waiting(port, request, time.monotonic() + 1e-6 * request.patience_us))
            return
        if request.at + request.size > self._layout.port_bytes:
            raise WireError("written from beyond the port's memory", where=f"port {port}")
        now = self._rounds[request.tensor]
        now.begin(request.round, request.total)
        new = Written(port, request.start, request.start + request.size, request.at, request.number_kind)
        first = now.add(new)
        if not (now.tensor.adds and self._layout.ordered):
            self._into(request.tensor, new, first=first)
        elif not now.missing(now.number, (1 << self._layout.ports) - 1):
            self._in_order(request.tensor, now)

    def _in_order(self, tensor: int, now: Round) -> None:
        """All have written: port by port, so that the sum does not depend on who was first."""
        lowest = min(each.port for each in now.written)
        for each in sorted(now.written):
            self._into(tensor, each, first=each.port == lowest)

    def _into(self, tensor: int, new: Written, *, first: bool) -> None:
        """Add to the tensor, or put there what nothing has to be added to."""
        kind, begin = KINDS[new.number_kind], self._layout.starts[tensor] + new.start
        size, source = new.end - new.start, self._layout.inbox(new.port) + new.at
        to, given = (self._memory[at : at + size].view(kind) for at in (begin, source))
        step = STRIPE_BYTES // to.itemsize
        if len(to) <= step:
            _add(to, given, first=first)
            return
        parts = range(0, len(to), step)
        done = [
            self._banks.submit(_bank, to, given, parts[bank :: self._layout.banks], step, first=first)
            for bank in range(self._layout.banks)
        ]
        for each in done:
            each.result()

    def _tell(self) -> None:
        """Answer whose tensor is whole, whose patience has ended, and whose writer has left."""
        now_s, left = time.monotonic(), list[_Waiting]()
        for each in self._waiting:
            about = self._rounds[each.request.tensor]
            missing = about.missing(each.request.round, each.request.writers)
            gone = sorted(self._gone & set(missing))
            if not missing:
                self._answer(each.port, DONE, each.request.round)
            elif gone or now_s >= each.until_s:
                patience_s = 1e-6 * each.request.patience_us
                what = "left before they wrote" if gone else f"not written in {patience_s:g} s"
                names = ", ".join(f"port {port}" for port in gone or missing)
                text = f"'{about.tensor.name}': {what}: {names}"
                self._answer(each.port, LEFT if gone else LATE, each.request.round, text, gone or missing)
            else:
                left.append(each)
        self._waiting = left

    def _answer(self, port: int, kind: int, number: int, text: str = "", absent: Sequence[int] = ()) -> None:
        bits = sum(1 << each for each in absent)
        try:
            self._ports[port].send(REPLY.pack(kind, number, bits) + text.encode())
        except OSError:
            self._gone.add(port)


def _bank(to: NDArray[Any], given: NDArray[Any], starts: range, step: int, *, first: bool) -> None:
    for start in starts:
        _add(to[start : start + step], given[start : start + step], first=first)


def _add(to: NDArray[Any], given: NDArray[Any], *, first: bool) -> None:
    if first:
        to[:] = given
    else:
        np.add(to, given, out=to)


def main(path: Path, layout: Layout, ready: Callable[[], object]) -> None:
    """Listen, and serve until all ports have left."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen(layout.ports)
        ready()
        Server(layout).serve(listening)


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), codec.decode(Layout, sys.argv[2].encode(), "the pool"), _ready)
