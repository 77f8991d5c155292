"""One connection before the run: what is said on it, and how it is read without ever waiting for the peer."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from shoal import __version__, codec
from shoal.errors import InputError, WireError
from shoal.program import HEADER_BYTES, Flag, Header, Program
from shoal.program.message import CONTROL_EDGE, MAGIC, pack, unpack
from shoal.wire.refusals import BOTH_SIDES
from shoal.wire.secure import TlsSocket

GATHER_S = 30.0  # from the client's hello to the last unit's "ready"
HELLO_S = 5.0  # a caller that has not said hello by then is refused
MAX_NOTE_BYTES = 1 << 20
MAX_HELLO_BYTES = 4096
PART_S = 1.0  # how long a caller that was refused may take to hear it
_TLS = b"\x16\x03"  # how a TLS handshake begins
_DISCARD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Note:
    """What parties tell each other before the run."""

    kind: Literal["hello", "peers", "ready", "refused"]
    party: str = ""
    version: str = __version__
    addresses: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    beat_s: float = 0.0  # of a hello: how often its sender gives a sign of life, in seconds; 0: never


Wire = socket.socket | TlsSocket


@dataclass(slots=True)
class Link:
    """A connection with a peer whose hello was right. `descriptor` came or went with the hello; else -1."""

    peer: str
    sock: Wire
    descriptor: int = -1
    beat_s: float = 0.0  # how often the peer said it gives a sign of life; 0: never


class Sockets(Protocol):
    """How a transport makes its connections."""

    def listen(self, address: str) -> tuple[socket.socket, str]:
        """A listening socket and the address it really has."""

    @property
    def beat_s(self) -> float:
        """How often this party gives a sign of life on every connection, in seconds; 0: never."""

    def dial(self, address: str) -> Wire:
        """A connection to `address`; raises OSError or ShoalError."""

    def admit(self, sock: socket.socket) -> Wire:
        """Look at a caller's socket and make a connection of it; raises WireError to refuse it."""

    def vouch(self, sock: Wire, party: str) -> None:
        """Raise WireError unless the peer may speak for `party`."""

    def offer(self, peer: str) -> int:
        """The file descriptor that goes with the hello to `peer`, -1 for none. The link owns it."""

    def receive(self, sock: Wire, size: int) -> tuple[bytes, int]:
        """At most `size` bytes and the descriptor that came with them, -1 for none; never waits."""


class Talk:
    """A connection before the run. Reads exactly one note at a time and never waits."""

    def __init__(self, sockets: Sockets, sock: Wire, where: str, dialed: str = "") -> None:
        sock.setblocking(False)
        self.sock, self.where, self.dialed = sock, where, dialed
        self.speaks_shoal = False
        self.mine = True  # what comes belongs to the handshake, not yet to the run
        self.refused = False  # only its end is awaited
        self.beat_s = 0.0  # as its hello said
        self._sockets = sockets
        self.peer = ""  # known after its hello
        self.descriptor = -1
        self.until = time.monotonic() + HELLO_S
        self._data = bytearray()
        self._header: Header | None = None

    def read(self, program: Program) -> Note | None:
        """The next note, or None while it is not complete."""
        while True:
            missing = HEADER_BYTES + (self._header.payload_bytes if self._header else 0) - len(self._data)
            if missing and not self._fill(missing):
                return None
            if self._header is None:
                self._header = self._checked(unpack(bytes(self._data), program, self.where))
            elif missing == 0:
                note = _note(bytes(self._data[HEADER_BYTES:]), self.where)
                self._data.clear()
                self._header = None
                return note

    def _fill(self, missing: int) -> bool:
        try:
            data, descriptor = self._sockets.receive(self.sock, missing)
        except BlockingIOError:
            return False
        except OSError as fault:
            raise WireError(f"ended the handshake: {fault.strerror}", where=self.where) from fault
        except WireError as fault:  # of TLS, which does not know whom it speaks with
            raise WireError(fault.what, where=self.where, had=fault.had, hint=fault.hint) from fault
        if not data:
            raise WireError("ended the handshake", where=self.where)
        if descriptor >= 0:
            self.drop_descriptor()
            self.descriptor = descriptor
        self._data += data
        if not MAGIC.startswith(self._data[: len(MAGIC)]):
            if self._data.startswith(_TLS):
                raise WireError("speaks TLS, and this side has no identity", where=self.where, hint=BOTH_SIDES)
            raise WireError("sent something that is not a shoal message", where=self.where)
        self.speaks_shoal = len(self._data) >= len(MAGIC)
        return len(data) == missing

    def _checked(self, header: Header) -> Header:
        limit = MAX_NOTE_BYTES if self.peer else MAX_HELLO_BYTES
        if not header.control or header.payload_bytes > limit:
            raise WireError("did not introduce itself", where=self.where)
        return header

    def write(self, note: Note, program: Program, descriptor: int = -1) -> None:
        """Send a note; it is small enough for the socket's own buffer, so this does not wait on the peer."""
        text = codec.encode(note)
        header = Header(CONTROL_EDGE, flags=Flag.CONTROL, shape=(len(text),), payload_bytes=len(text))
        data = pack(header, program.hash, program.protocol) + text
        self.sock.settimeout(HELLO_S)
        try:
            if descriptor >= 0:
                assert isinstance(self.sock, socket.socket)  # descriptors go over Unix sockets only
                data = data[socket.send_fds(self.sock, [data], [descriptor]) :]
            if data:
                self.sock.sendall(data)
        except OSError as fault:
            raise WireError(f"ended the handshake: {fault}", where=self.where) from fault
        self.sock.setblocking(False)

    def part(self) -> bool:
        """Say no more, and wait for the peer's end: closing with something unread could take away what was said.

        False if that is over already.
        """
        self.refused = True
        self.until = time.monotonic() + PART_S
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return not self.parted()

    def parted(self) -> bool:
        """Whether a refused peer has ended too; what else it sends is thrown away."""
        try:
            return (
                not self.sock.discard() if isinstance(self.sock, TlsSocket) else not self.sock.recv(_DISCARD_BYTES)
            )
        except BlockingIOError:
            return False
        except OSError:
            return True

    def drop_descriptor(self) -> None:
        """Close the descriptor that came, if one did."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def close(self) -> None:
        """Free the socket, and the descriptor."""
        self.drop_descriptor()
        self.sock.close()


def _note(text: bytes, where: str) -> Note:
    try:
        return codec.decode(Note, text, where)
    except InputError as fault:
        raise WireError(f"sent a note that makes no sense: {fault.what}", where=where) from fault
