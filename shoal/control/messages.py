"""Requests, replies and news as bytes: `{"kind": "deploy", "value": {…}}`, and what is too large or strange to read.

Whoever reads has checked the size before anything is decoded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

import shoal
from shoal import codec
from shoal.control.values import Deploy, Deployed, Dismiss, Done, Failed, Reply, Request
from shoal.errors import InputError, ShoalError, WireError
from shoal.program.values import PROTOCOL

MAX_BYTES = 1 << 20
REQUESTS: dict[str, type[Request]] = {"deploy": Deploy, "dismiss": Dismiss}
REPLIES: dict[str, type[Reply]] = {"deployed": Deployed, "done": Done, "failed": Failed}

Value = TypeVar("Value")
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Envelope:
    """One of several kinds of value."""

    kind: str
    value: msgspec.Raw


@dataclass(frozen=True)
class Stamp:
    """What an announcement of any protocol says of its writer."""

    version: str
    protocol: int


@dataclass(frozen=True)
class Verdict:
    """What a hub says to a device that announces itself."""

    refused: str = ""  # why it may not stay
    unseen: bool = False  # it tells how it is, and its token is not there
    version: str = shoal.__version__
    protocol: int = PROTOCOL
    time_s: float = field(default_factory=time.time)  # seconds since the epoch of Unix, by the hub's clock


def pack_request(request: Request) -> bytes:
    """`request` as bytes.

    Raises:
        InputError: it is larger than MAX_BYTES.
    """
    return _pack(request, REQUESTS)


def pack_reply(reply: Reply) -> bytes:
    """`reply` as bytes.

    Raises:
        InputError: it is larger than MAX_BYTES.
    """
    return _pack(reply, REPLIES)


def unpack_request(data: bytes, where: str) -> Request:
    """The request written in `data`; `where` names its origin in the error.

    Raises:
        InputError: it is too large, no JSON, or nothing that can be asked.
    """
    return _unpack(data, REQUESTS, where)


def unpack_reply(data: bytes, where: str) -> Reply:
    """The reply written in `data`.

    Raises:
        InputError: it is too large, no JSON, or no reply.
    """
    return _unpack(data, REPLIES, where)


def read(kind: type[Value], data: bytes, where: str) -> Value:
    """The `kind` written in `data`, which is not read if it is too large.

    Raises:
        InputError: it is too large or no `kind`.
    """
    check_size(len(data), where)
    return codec.decode(kind, data, where)


def check_size(size: int, where: str) -> None:
    """Refuse what is larger than any message.

    Raises:
        InputError: it is.
    """
    if size > MAX_BYTES:
        raise InputError(
            "the message is too large", where=where, needed=f"at most {MAX_BYTES} bytes", had=f"{size}"
        )


def failed(fault: ShoalError) -> Failed:
    """`fault`, to be told to who asked."""
    return Failed(fault.kind, fault.message, fault.hint)


def granted(reply: Reply, device: str) -> Reply:
    """`reply`, unless it says that what was asked failed.

    Raises:
        WireError: it does.
    """
    if isinstance(reply, Failed):
        raise WireError(reply.message, where=device, hint=reply.hint)
    return reply


def _pack(value: Request | Reply, kinds: dict[str, type[Kind]]) -> bytes:
    kind = next(name for name, each in kinds.items() if isinstance(value, each))
    data = codec.encode(Envelope(kind, msgspec.Raw(codec.encode(value))))
    check_size(len(data), kind)
    return data


def _unpack(data: bytes, kinds: dict[str, type[Kind]], where: str) -> Kind:
    envelope = read(Envelope, data, where)
    wanted = kinds.get(envelope.kind)
    if wanted is None:
        raise InputError(f"unknown kind '{envelope.kind[:40]}'", where=where, needed=" or ".join(kinds))
    return codec.decode(wanted, bytes(envelope.value), where)
