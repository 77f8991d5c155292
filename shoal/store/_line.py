"""What a reader and an offer of records say to each other: asks of one size, and answers that tell their size first.

Every answer names the index it belongs to, so that a reader sees when another store is offered at the same address.
"""

from __future__ import annotations

import hashlib
import struct
import time
from enum import IntEnum
from typing import NamedTuple

from shoal import catalog
from shoal.errors import InputError, WireError
from shoal.store.values import Key
from shoal.wire.talk import Wire
from shoal.wire.transports.tcp import Tcp, TcpSockets

MAGIC = b"shoalread1\0\0"
ASK = struct.Struct("<12sBqqq")  # magic, kind, and the key where a record is meant
ANSWER = struct.Struct("<12sB16sQ")  # magic, kind, of which index, bytes that follow
MOST_SAID_BYTES = 4096  # of what went wrong
STEP_BYTES = 1 << 18  # handed to the socket at a time, so that a deadline is looked at in between


class Kind(IntEnum):
    """What is asked for, or answered."""

    INDEX = 1
    RECORD = 2
    DAMAGED = 3  # what lies there is not what was written
    FAILED = 4  # anything else that keeps a record from being given


class Answer(NamedTuple):
    """The beginning of an answer."""

    kind: Kind
    store: bytes  # what names its index
    size: int


def sockets(over: str) -> TcpSockets:
    """How both ends make their connections.

    Raises:
        InputError: over something else than TCP, or no good identity.
    """
    transport = catalog.make("wire/transports", over)
    if not isinstance(transport, Tcp):
        raise InputError("records are read over TCP", had=over, hint="tcp, tcp:identity=FOLDER or tcp:plain=true")
    return transport.sockets()


def ask(kind: Kind, key: Key) -> bytes:
    """An ask as it is sent."""
    return ASK.pack(MAGIC, kind, *key)


def asked(data: bytes) -> tuple[Kind, Key]:
    """What an ask says.

    Raises:
        WireError: it is none.
    """
    magic, kind, *key = ASK.unpack(data)
    if magic != MAGIC or kind not in (Kind.INDEX, Kind.RECORD):
        raise WireError("asks for something that is no record")
    return Kind(kind), Key(*key)


def answer(kind: Kind, index: bytes, size: int) -> bytes:
    """The beginning of an answer as it is sent."""
    return ANSWER.pack(MAGIC, kind, index, size)


def answered(data: bytes) -> Answer:
    """What the beginning of an answer says.

    Raises:
        WireError: it is none.
    """
    magic, kind, index, size = ANSWER.unpack(data)
    if magic != MAGIC or kind not in tuple(Kind):
        raise WireError("what answers offers no records", hint="shoal worker STORE offers them")
    return Answer(Kind(kind), index, size)


def digest(index: bytes) -> bytes:
    """What names an index."""
    return hashlib.sha256(index).digest()[:16]


class Deadline:
    """How long the other end may say nothing, and how long it may take over all.

    Args:
        patience_s: of silence.
        size: bytes that are to come.
        least_bytes_per_s: whoever is slower than that counts as silent.
    """

    def __init__(self, patience_s: float, size: int, least_bytes_per_s: float) -> None:
        self._patience_s = patience_s
        self._until_s = time.monotonic() + patience_s + size / least_bytes_per_s

    def set(self, sock: Wire) -> None:
        """Let the next call on the socket take no longer than is left.

        Raises:
            TimeoutError: nothing is.
        """
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        sock.settimeout(min(self._patience_s, left_s))


def fill(sock: Wire, memory: memoryview, deadline: Deadline | None = None) -> int:
    """Fill `memory` with what comes; fewer bytes mean that the peer closed.

    Raises:
        OSError: TimeoutError where the deadline has passed.
    """
    filled = 0
    while filled < len(memory):
        if deadline is not None:
            deadline.set(sock)
        count = sock.recv_into(memory[filled : filled + STEP_BYTES])
        if not count:
            break
        filled += count
    return filled
