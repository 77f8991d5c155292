"""A tier's records, given over the network to whoever asks: the other end of `shoal.store.remote`."""

from __future__ import annotations

import logging
import mmap
import socket
import threading
from types import TracebackType
from typing import Self

from shoal import codec
from shoal.errors import ModelError, ShoalError, WireError
from shoal.store import _line
from shoal.store._line import ASK, MOST_SAID_BYTES, STEP_BYTES, Kind
from shoal.store.contract import Tier
from shoal.store.file import Index
from shoal.store.values import PAGE, Key
from shoal.wire.talk import HELLO_S, Wire

MOST_CALLERS = 64  # connections at once; each has memory for a record
TAKE_S = 30.0  # how long a caller may take for a part of an answer
BREATH_S = 0.1  # after the system could not take a connection
LOG = logging.getLogger("shoal.store")


class Offer:
    """A tier that others read, from now until `close`; a thread for each connection.

    Args:
        tier: whose records; stays open when the offer ends.
        over: how others come, "tcp" with options of its transport: with an identity whoever belongs to the fleet, without
            one whoever runs on this host.
        listen: "host:port"; none: this host, any free port.
        about: what is to be said of the records together; see `write_file`.

    Raises:
        InputError: not an address, or one beyond this host without an identity.
        WireError: the address is in use.
    """

    def __init__(self, tier: Tier, over: str = "tcp", listen: str = "", about: str = "") -> None:
        self._tier, self._sockets = tier, _line.sockets(over)
        self._listed = codec.encode(Index(tuple(tier.records.values()), about))
        self._index = _line.digest(self._listed)
        self._callers: dict[socket.socket, threading.Thread] = {}
        self._turn, self._closed = threading.Lock(), threading.Event()
        self._listener, self.address = self._sockets.listen(listen)
        self._thread = threading.Thread(target=self._accept, name="offer", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until it is closed."""
        self._closed.wait()

    def close(self) -> None:
        """End all connections, in the middle of a record too."""
        self._closed.set()
        _end(self._listener)
        self._thread.join()
        self._listener.close()
        with self._turn:
            callers = dict(self._callers)
        for sock, thread in callers.items():
            _end(sock)
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError as fault:
                if not self._closed.wait(BREATH_S):
                    LOG.warning("cannot take a connection: %s", fault.strerror)
                continue
            with self._turn:
                if len(self._callers) >= MOST_CALLERS:
                    LOG.warning("refused a connection: there are %d", MOST_CALLERS)
                    sock.close()
                    continue
                self._callers[sock] = threading.Thread(target=self._serve, args=(sock,), name="offers", daemon=True)
                self._callers[sock].start()

    def _serve(self, sock: socket.socket) -> None:
        """A connection, until the caller leaves."""
        try:
            sock.settimeout(HELLO_S)
            wire = self._sockets.admit(sock)
            self._sockets.fellow(wire)
            self._answer(wire)
        except (WireError, OSError) as fault:
            if not self._closed.is_set():
                LOG.warning("ended a connection: %s", fault)
        finally:
            with self._turn:
                del self._callers[sock]
            sock.close()

    def _answer(self, wire: Wire) -> None:
        """One ask after another; only the first has to come soon."""
        held, data = mmap.mmap(-1, PAGE), memoryview(bytearray(ASK.size))
        while _line.fill(wire, data) == ASK.size:
            kind, key = _line.asked(bytes(data))
            wire.settimeout(TAKE_S)
            if kind is Kind.INDEX:
                self._send(wire, Kind.INDEX, memoryview(self._listed))
            else:
                held = self._give(wire, key, held)
            wire.settimeout(None)

    def _give(self, wire: Wire, key: Key, held: mmap.mmap) -> mmap.mmap:
        """A record, or why it cannot be given; what holds records from now on."""
        record = self._tier.records.get(key)
        if record is None:
            self._send(wire, Kind.FAILED, memoryview(b"nothing is stored under this key"))
            return held
        if len(held) < record.bytes:
            held = mmap.mmap(-1, record.bytes)
        data = memoryview(held)[: record.bytes]
        try:
            self._tier.read(key, data)
        except ShoalError as fault:
            kind = Kind.DAMAGED if isinstance(fault, ModelError) else Kind.FAILED
            self._send(wire, kind, memoryview(fault.message.encode()[:MOST_SAID_BYTES]))
        else:
            self._send(wire, Kind.RECORD, data)
        return held

    def _send(self, wire: Wire, kind: Kind, data: memoryview) -> None:
        wire.sendall(_line.answer(kind, self._index, len(data)))
        for start in range(0, len(data), STEP_BYTES):
            wire.sendall(data[start : start + STEP_BYTES])


def _end(sock: socket.socket) -> None:
    """Whoever waits for it wakes up."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:  # the other end was quicker
        return
