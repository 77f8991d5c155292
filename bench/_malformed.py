"""What strangers and impostors send: every attempt is one that a worker must refuse, whatever the draw."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from shoal.program import CLIENT, HEADER_BYTES, Flag, Header, Program
from shoal.program.message import CONTROL_EDGE, pack

FIELDS = {  # where they stand in the header, and how they are packed
    "magic": (0, "<4s"), "protocol": (4, "<H"), "flags": (6, "<H"), "hash": (8, "<16s"), "route": (30, "<H"),
    "edge": (32, "<I"), "item": (36, "<q"), "dtype": (52, "<B"), "rank": (53, "<B"), "payload": (60, "<Q"),
    "time": (68, "<d"), "shape": (76, "<Q"),
}  # fmt: skip
Bytes = Callable[[random.Random, Program], bytes]


def note(program: Program, text: bytes, claimed: int | None = None) -> bytes:
    """A control message; `claimed`: the length its header says."""
    size = len(text) if claimed is None else claimed
    head = Header(CONTROL_EDGE, flags=Flag.CONTROL, shape=(min(size, 1 << 62),), payload_bytes=size)
    return pack(head, program.hash, program.protocol) + text


def tensor(program: Program, **changes: object) -> bytes:
    """The right message on edge 0, but for `changes` of its header."""
    shape, item_bytes = program.bounds[0]
    size = item_bytes
    for each in shape:
        size *= each
    head = Header(0, 0, dtype=program.edges[0].spec.dtype, shape=shape, payload_bytes=size)
    return pack(replace(head, **changes), program.hash, program.protocol) + bytes(size)  # type: ignore[arg-type]


def spoiled(program: Program, field: str, value: object) -> bytes:
    """The right message with one field of its header overwritten."""
    data = bytearray(tensor(program))
    place, form = FIELDS[field]
    struct.pack_into(form, data, place, value)
    return bytes(data)


def _number(draw: random.Random, low: int, high: int) -> int:
    """Somewhere between, at the ends more often than not."""
    return draw.choice((low, low + 1, high, high - 1, draw.randint(low, high)))


def _deep(draw: random.Random, _: Program) -> bytes:
    return b"[" * draw.randint(2_000, 200_000)


def _text(draw: random.Random, _: Program) -> bytes:
    wrong = (
        [], 7, None, "do", {}, {"do": None}, {"do": ["stop"]}, {"do": "x" * draw.randint(0, 5000)}, {"is": "ready"},
        {"do": "start"}, {"do": "start", "origin": draw.choice([None, 3, {}, {"monotonic_s": "now"}])},
        {"do": "start", "origin": {"monotonic_s": 0.0, "boot": ""}, "stretch": draw.choice(["x", None, -1, 0, []])},
    )  # fmt: skip
    return json.dumps(draw.choice(wrong)).encode()


def _noise(draw: random.Random, _: Program) -> bytes:
    return draw.choice([b"\xff", b"{", b'{"do"', b"\x00"]) + draw.randbytes(draw.randint(0, 300))


# What an authenticated client may not send during a run.
MESSAGES: dict[str, Bytes] = {
    "magic": lambda draw, what: spoiled(what, "magic", b"X" + draw.randbytes(3)),
    "protocol": lambda draw, what: spoiled(what, "protocol", _number(draw, what.protocol + 1, 0xFFFF)),
    "program": lambda draw, what: spoiled(what, "hash", draw.randbytes(16)),
    "unknown flag": lambda draw, what: spoiled(what, "flags", 1 << draw.randint(5, 15)),
    "beat with a payload": lambda draw, what: spoiled(what, "flags", Flag.CONTROL | Flag.BEAT),
    "empty with a payload": lambda draw, what: spoiled(what, "flags", Flag.EMPTY),
    "edge": lambda draw, what: spoiled(what, "edge", _number(draw, 1, 0xFFFFFFFF)),
    "route": lambda draw, what: spoiled(what, "route", _number(draw, len(what.routes), 0xFFFF)),
    "item": lambda draw, what: spoiled(what, "item", _number(draw, -(1 << 63), -1)),
    "dtype": lambda draw, what: spoiled(what, "dtype", _number(draw, 1, 255)),
    "rank": lambda draw, what: spoiled(what, "rank", draw.choice([0, 2, 3, 8, 9, 255])),
    "length": lambda draw, what: spoiled(what, "payload", _number(draw, 0, (1 << 64) - 1) | 1),
    "shape": lambda draw, what: spoiled(what, "shape", _number(draw, what.bounds[0][0][0] + 1, (1 << 64) - 1)),
    "smaller shape": lambda draw, what: spoiled(what, "shape", draw.randrange(what.bounds[0][0][0])),
    "time": lambda draw, what: spoiled(what, "time", draw.choice([float("nan"), float("inf"), float("-inf")])),
    "cut short": lambda draw, what: tensor(what)[: draw.randint(1, len(tensor(what)) - 1)],
    "control too long": lambda draw, what: note(what, b"{}", _number(draw, (64 << 20) + 1, (1 << 64) - 1)),
    "control that lies": lambda draw, what: note(what, b"{}", draw.randint(3, 64 << 20)),
    "control, no JSON": lambda draw, what: note(what, _noise(draw, what)),
    "control, deep": lambda draw, what: note(what, _deep(draw, what)),
    "control, nonsense": lambda draw, what: note(what, _text(draw, what)),
    "noise": lambda draw, what: b"\x00" + draw.randbytes(draw.randint(HEADER_BYTES, 4 * HEADER_BYTES)),
}


INCOMPLETE = ("cut short", "control that lies")  # only their end shows what they are


def _hello(draw: random.Random, what: Program, **fields: object) -> bytes:
    return note(what, json.dumps({"kind": "hello", "party": CLIENT, "version": "1", **fields}).encode())


def _other_program(draw: random.Random, what: Program) -> bytes:
    data = bytearray(_hello(draw, what))
    data[8:24] = draw.randbytes(16)
    return bytes(data)


# What a coordinator of the fleet may not say in place of hello.
HELLOS: dict[str, Bytes] = {
    "no hello": lambda draw, what: _hello(draw, what, kind=draw.choice(["peers", "ready", "refused", "x", 3])),
    "nobody": lambda draw, what: _hello(draw, what, party=draw.choice(["", "x/cpu", *what.units, "c" * 4000])),
    "no names": lambda draw, what: _hello(draw, what, addresses=draw.choice([[], 3, {"a": 1}]), party=3),
    "hello, other program": _other_program,
    "hello, tensor": lambda draw, what: tensor(what),
    "hello, noise": lambda draw, what: b"\x00" + draw.randbytes(draw.randint(0, 3000)),
    "hello, no JSON": lambda draw, what: note(what, _noise(draw, what)),
    "hello, deep": lambda draw, what: note(what, b"[" * draw.randint(1000, 4000)),
    "hello, too long": lambda draw, what: note(what, b"{}", _number(draw, 4097, (1 << 64) - 1)),
    "hello, cut short": lambda draw, what: _hello(draw, what)[: draw.randint(0, HEADER_BYTES + 10)],
}


def _changed(draw: random.Random, data: bytes) -> bytes:
    """A ClientHello some bytes of which are others: never one that TLS could take."""
    spoiled_bytes = bytearray(data)
    spoiled_bytes[0:3] = draw.choice([b"\x16\x02\x00", b"\x17\x03\x03", b"\x80\x2e\x01", b"\x15\x03\x01"])
    for _ in range(draw.randint(1, 20)):
        spoiled_bytes[draw.randrange(3, len(data))] = draw.randrange(256)
    return bytes(spoiled_bytes)


# What is no TLS, or no whole one. `hello` is a good ClientHello.
RAW: dict[str, Callable[[random.Random, Program, bytes], bytes]] = {
    "plain hello": lambda draw, what, hello: _hello(draw, what),
    "plain tensor": lambda draw, what, hello: tensor(what),
    "HTTP": lambda draw, what, hello: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes": lambda draw, what, hello: draw.randbytes(draw.randint(1, 5000)),
    "TLS, changed": lambda draw, what, hello: _changed(draw, hello),
    "TLS, cut short": lambda draw, what, hello: hello[: draw.randint(1, len(hello) - 1)],
    "TLS, then noise": lambda draw, what, hello: hello + b"\x17\x03\x03\x20\x00" + draw.randbytes(0x2000),
    "TLS, a lying length": lambda draw, what, hello: (
        b"\x16\x03\x01\xff\xff" + draw.randbytes(draw.randint(0, 9000))
    ),
}

STRANGERS = ("foreign", "expired", "revoked", "device", "other device", "none", "old TLS", "self-signed")


@dataclass(frozen=True)
class Attempt:
    """One try: how its sender gets so far, and what it does then."""

    stage: str  # "raw", "certificate", "hello", "message"
    kind: str


ATTEMPTS = tuple(
    [Attempt("raw", kind) for kind in RAW]
    + [Attempt("certificate", kind) for kind in STRANGERS]
    + [Attempt("hello", kind) for kind in HELLOS]
    + [Attempt("message", kind) for kind in MESSAGES]
)
