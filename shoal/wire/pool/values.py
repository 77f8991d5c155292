"""Where tensors and what is written to them lie in the shared memory, and the messages about them."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import NamedTuple

from shoal.errors import InputError, WireError

MOST_BYTES = 1 << 40  # of one memory that anything believes
MOST_PORTS = 64
KINDS = ("<f4", "<f8", "<i4", "<i8", "|u1")
WRITE, WAIT = 1, 2
DONE, FAULT, LEFT, LATE = 1, 2, 3, 4
_REQUEST = struct.Struct("<BBHIQQQQQQ")
REPLY = struct.Struct(
    "<BIQ"
)  # kind, round, a bit for each port that has left or is late; then what is wrong, in words
REQUEST_BYTES = _REQUEST.size


@dataclass(frozen=True)
class Shared:
    """One tensor of the pool."""

    name: str
    bytes: int  # at most
    adds: bool  # what several write is added; else no two write the same bytes


@dataclass(frozen=True)
class Layout:
    """What the memory holds: tensors, which only the server writes, and behind them what each port has written."""

    ports: int
    tensors: tuple[Shared, ...]
    port_bytes: int  # that one port can have on its way
    banks: int = 2  # threads that add, each in stripes of its own
    ordered: bool = True  # sums in the order of ports, the same bits each time; else as they come

    def __post_init__(self) -> None:
        sizes = (self.port_bytes, *(each.bytes for each in self.tensors))
        if not 1 <= self.ports <= MOST_PORTS or self.banks < 1 or min(sizes) < 1 or self.bytes > MOST_BYTES:
            raise InputError("no pool can be so", needed=f"1 to {MOST_PORTS} ports, sizes of a byte to {MOST_BYTES} in all",
                             had=f"{self.ports} ports, {self.bytes} bytes")  # fmt: skip

    @property
    def starts(self) -> tuple[int, ...]:
        """Where each tensor begins, and where they end."""
        found = [0]
        for each in self.tensors:
            found.append(found[-1] + pages(each.bytes))
        return tuple(found)

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.starts[-1] + self.ports * pages(self.port_bytes)

    def inbox(self, port: int) -> int:
        """Where a port writes."""
        return self.starts[-1] + port * pages(self.port_bytes)


class Request(NamedTuple):
    """What a port asks of the server."""

    kind: int
    number_kind: int  # place in `KINDS`
    tensor: int
    round: int
    start: int = 0  # bytes from the tensor's beginning
    size: int = 0
    total: int = 0  # bytes of the tensor in this round
    at: int = 0  # in the port's own memory
    writers: int = 0  # a bit for each port that is waited for
    patience_us: int = 0

    def packed(self) -> bytes:
        """As bytes."""
        return _REQUEST.pack(*self)


def unpacked(data: bytes) -> list[Request]:
    """The requests of one message.

    Raises:
        WireError: it is no such message.
    """
    if not data or len(data) % REQUEST_BYTES:
        raise WireError("no message of a pool", had=f"{len(data)} bytes")
    return [Request(*fields) for fields in _REQUEST.iter_unpack(data)]


def pages(size: int) -> int:
    """In whole pages."""
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
