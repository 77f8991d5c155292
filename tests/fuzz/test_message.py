"""What peers say to one another: headers, notes of the handshake, control messages of workers and coordinators."""

from __future__ import annotations

import json
import socket
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoal import codec
from shoal.cost import account
from shoal.fleet import Device, Fleet, Link, Unit
from shoal.live.drift import Drift
from shoal.program import HEADER_BYTES, Header, Workload
from shoal.program.message import DTYPES, Flag, pack, unpack
from shoal.record import Answer
from shoal.run.flight import Seen
from shoal.run.gather import gathered
from shoal.wire import Delivery
from shoal.wire.talk import Note, Talk
from shoal.worker import answer_of, check_report, heard
from tests import toy
from tests.fuzz.mutations import damaged, fuzzed, mutated_json, survives

PROGRAM = toy.program()
BOUNDS = PROGRAM.bounds
HEADERS = [
    Header(0, 3, 0, 0, 1, 0, dtype="float32", shape=(toy.WIDTH,), payload_bytes=4 * toy.WIDTH, time_s=0.5),
    Header(1, 0, 0, 0, -1, 0, flags=Flag.EMPTY | Flag.LAST),
    Header(0xFFFFFFFF, flags=Flag.CONTROL, shape=(17,), payload_bytes=17),
]
HELLO = json.loads(codec.encode(Note("hello", "eye/cpu", addresses={"arm/cpu": "192.0.2.7:4711"})))


@given(st.sampled_from(HEADERS).flatmap(lambda head: damaged(pack(head, PROGRAM.hash, PROGRAM.protocol))))
@fuzzed(400)
def test_a_header_is_refused_or_keeps_what_the_program_allows(data: bytes) -> None:
    if len(data) != HEADER_BYTES:  # whoever reads it reads so many bytes
        data = data[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0")
    header = survives(lambda: unpack(data, PROGRAM, "eye/cpu"), "eye/cpu")
    if header is None or header.control or header.empty:
        return
    bound, item_bytes = BOUNDS[header.edge]
    assert header.dtype in DTYPES
    assert len(header.shape) == len(bound)
    assert header.payload_bytes <= int(np.prod(bound)) * item_bytes


class _Plain:
    """Sockets without descriptors."""

    def receive(self, sock: socket.socket, size: int) -> tuple[bytes, int]:
        return sock.recv(size), -1


def _said(data: bytes) -> Note | None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        talk = Talk(_Plain(), ours, "a caller")  # type: ignore[arg-type]  # it only receives here
        return talk.read(PROGRAM)


@given(st.data())
@fuzzed(250)
def test_a_note_is_refused_or_understood(data: st.DataObject) -> None:
    text = data.draw(mutated_json(HELLO))
    header = Header(0xFFFFFFFF, flags=Flag.CONTROL, shape=(len(text),), payload_bytes=len(text))
    whole = pack(header, PROGRAM.hash, PROGRAM.protocol) + text
    if data.draw(st.booleans()):
        whole = data.draw(damaged(whole))
    survives(lambda: _said(whole), "a caller")


ROW = ["run", "look", 1, 0.0, 0.1, 5]
REPORT = {
    **{
        "is": "report",
        "unit": "eye/cpu",
        "busy_s": 0.2,
        "cpu_s": 0.1,
        "spans": [ROW, ["transfer", "seen", 0, 0, 1, 16]],
    },
    **{"spans_dropped": 0, "facts": [[0, "look", "gate", 1.0]], "behind_s": None, "missed": [3], "sent_bytes": 16},
    **{"received_bytes": 16, "resident_bytes": 4096, "peak_bytes": 8192},
}
ANSWERS = [
    REPORT,
    {"is": "ready", "unit": "eye/cpu", "boot": "b", "resident_bytes": 1, "peak_bytes": 2},
    {"is": "clock", "now_s": 1.5},
    {
        "is": "vitals",
        "busy_s": 0.5,
        "ran": {"look": 3},
        "pending": 0,
        "rates": {"a/cpu": 1e6},
        "resident_bytes": 1,
        "peak_bytes": 2,
    },
    {"is": "started"},
    {"is": "settled", "pending": 0, "sent_bytes": 16, "received_bytes": 16},
    {"is": "error", "kind": "LimitError", "message": "full", "hint": None},
]
FLEET = Fleet((
    *(Device(name, "", (Unit("cpu", 1, {"float32": 1e9}, 1e9, 1.0),), 1 << 30, 1 << 30, 1.0) for name in ("eye", "arm")),
), default_link=Link("any", (), 1e8, 1e-4))  # fmt: skip
SEEN = Seen(False, [], [Answer(0, 0.0, 1.0)])


def _heard(text: bytes) -> dict[str, Any]:
    header = Header(0xFFFFFFFF, flags=Flag.CONTROL, shape=(len(text),), payload_bytes=len(text))
    return heard(_Kept(), Delivery("eye/cpu", header, np.frombuffer(text, np.uint8)))  # type: ignore[arg-type]


class _Kept:
    """An endpoint that has nothing to release."""

    def release(self, delivery: Delivery) -> None:
        assert delivery.peer


@given(st.sampled_from(ANSWERS).flatmap(mutated_json))
@fuzzed(400)
def test_an_answer_of_a_worker_is_refused_or_whole(data: bytes) -> None:
    said = survives(lambda: _heard(data), "eye/cpu")
    if said is None:
        return
    answer = survives(lambda: answer_of(said, "eye/cpu"), "eye/cpu")
    match (answer or {}).get("is"):
        case "report":
            survives(lambda: _judged(answer or {}))
        case "vitals":
            drift = Drift()
            survives(lambda: drift.learn(0, "eye/cpu", answer or {}, {"look": 0.1}))
            survives(drift.news)


def _judged(report: dict[str, Any]) -> None:
    check_report(report, PROGRAM, "eye/cpu")
    observed, _ = gathered(SEEN, [(0, {"eye/cpu": report, "arm/cpu": {**REPORT, "unit": "arm/cpu"}})])
    run = account(observed, PROGRAM, FLEET, workload=Workload(1), provenance="measured")
    codec.encode(run)
