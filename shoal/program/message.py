"""The one header every message has, and its fixed bytes on the wire.

Little-endian, fixed length; the payload follows. Every field is checked against the Program before a byte of
payload is allocated: an unknown edge, a shape above its bound or a length that does not fit is a WireError.
"""

from __future__ import annotations

import operator
import struct
from dataclasses import dataclass
from enum import IntFlag
from math import isfinite, prod

from shoal.errors import WireError
from shoal.program.values import Program

MAGIC = b"SHOL"
MAX_RANK = 8
CONTROL_EDGE = 0xFFFFFFFF
MAX_CONTROL_BYTES = 64 << 20
DTYPES = (
    "float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "bool",
)  # fmt: skip
_LAYOUT = struct.Struct("<4sHH16sIHHIqqBB6xQd8Q")
HEADER_BYTES = _LAYOUT.size


class Flag(IntFlag):
    """What is special about a message."""

    EMPTY = 1  # a gate said stop: no payload, but it passes on and order is kept
    LAST = 2  # nothing follows on this edge
    ERROR = 4  # the payload is a JSON error
    CONTROL = 8  # between coordinator and worker; the payload is JSON
    BEAT = 16  # a control message that says no more than that its sender is alive; no payload


NOTHING = Flag(0)


_EMPTY, _CONTROL, _BEAT = (
    int(Flag.EMPTY),
    int(Flag.CONTROL),
    int(Flag.BEAT),
)  # plain integers: looked at for every message
_ALL = int(Flag.EMPTY | Flag.LAST | Flag.ERROR | Flag.CONTROL | Flag.BEAT)


@dataclass(frozen=True, slots=True)
class Header:
    """Who this payload belongs to and what it is.

    `time_s` is the moment the message counts as arrived, on the run's clock: the due time when a board is
    emulated, else the moment it was sent.
    """

    edge: int
    item: int = -1
    route: int = 0
    entry: int = 0
    session: int = -1
    epoch: int = 0
    flags: Flag = NOTHING
    dtype: str = "uint8"
    shape: tuple[int, ...] = ()
    payload_bytes: int = 0
    time_s: float = 0.0

    @property
    def empty(self) -> bool:
        """Whether a gate upstream said stop."""
        return int(self.flags) & _EMPTY != 0

    @property
    def beat(self) -> bool:
        """Whether this is a sign of life and nothing else."""
        return int(self.flags) & _BEAT != 0

    @property
    def control(self) -> bool:
        """Whether the payload is a JSON control message."""
        return int(self.flags) & _CONTROL != 0


def pack(header: Header, program_hash: bytes, protocol: int) -> bytes:
    """`header` as HEADER_BYTES bytes."""
    shape = header.shape + (0,) * (MAX_RANK - len(header.shape))
    return _LAYOUT.pack(
        MAGIC, protocol, header.flags, program_hash, header.epoch, header.entry, header.route, header.edge,
        header.item, header.session, DTYPES.index(header.dtype), len(header.shape), header.payload_bytes,
        header.time_s, *shape,
    )  # fmt: skip


def unpack(data: bytes | memoryview, program: Program, sender: str) -> Header:
    """The header in `data`, checked against `program`; `sender` names the peer in errors.

    Raises:
        WireError: not a shoal message, another protocol, another program, or outside what the program allows.
    """
    (
        magic,
        protocol,
        flags,
        digest,
        epoch,
        entry,
        route,
        edge,
        item,
        session,
        dtype,
        rank,
        size,
        time_s,
        *shape,
    ) = _LAYOUT.unpack(data)
    if magic != MAGIC:
        raise WireError("sent something that is not a shoal message", where=sender)
    if protocol != program.protocol:
        raise WireError("speaks another protocol", where=sender, needed=str(program.protocol), had=str(protocol))
    if digest != program.hash:
        raise WireError(
            "runs another program", where=sender, needed=program.hash.hex(), had=digest.hex(),
            hint="deploy the same bundle set to every device",
        )  # fmt: skip
    if rank > MAX_RANK or dtype >= len(DTYPES) or flags > _ALL:
        had = f"rank {rank}, dtype {dtype}, flags {flags}"
        raise WireError("sent a header that makes no sense", where=sender, had=had)
    header = Header(
        edge,
        item,
        route,
        entry,
        session,
        epoch,
        Flag(flags),
        DTYPES[dtype],
        tuple(shape[:rank]),
        size,
        time_s,
    )
    check(header, program, sender)
    return header


def check(header: Header, program: Program, sender: str) -> None:
    """Refuse a header that `program` does not allow.

    Raises:
        WireError: naming the field, the bound and what came.
    """
    if header.beat and (not header.control or header.payload_bytes):
        raise WireError("sent a beat that is more than one", where=sender, had=f"{header.payload_bytes} B")
    if header.control:
        if not isfinite(header.time_s):
            raise WireError("sent a control message of no time", where=sender, had=str(header.time_s))
        if header.payload_bytes > MAX_CONTROL_BYTES:
            raise WireError("sent a control message that is too long", where=sender, had=str(header.payload_bytes))
        return
    if header.edge >= len(program.edges):
        raise WireError(f"sent on edge {header.edge}, which the program does not have", where=sender)
    edge = program.edges[header.edge]
    if header.route >= len(program.routes) or header.item < 0 or not isfinite(header.time_s):
        raise WireError(
            f"sent a header that makes no sense on edge '{edge.name}'", where=sender,
            had=f"route {header.route}, item {header.item}, time {header.time_s}",
        )  # fmt: skip
    if header.empty:
        needed = 0
    else:
        bound, item_bytes = program.bounds[header.edge]
        fits = len(header.shape) == len(bound) and all(map(operator.le, header.shape, bound))
        if not fits or header.dtype != edge.spec.dtype:
            raise WireError(
                f"sent a tensor that edge '{edge.name}' does not allow", where=sender,
                needed=f"{edge.spec.dtype}{list(bound)}", had=f"{header.dtype}{list(header.shape)}",
            )  # fmt: skip
        needed = prod(header.shape) * item_bytes
    if header.payload_bytes != needed:
        raise WireError(
            f"sent a payload of the wrong length on edge '{edge.name}'", where=sender,
            needed=f"{needed} B", had=f"{header.payload_bytes} B",
        )  # fmt: skip
