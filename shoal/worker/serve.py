"""A worker from its bundle to its last message: load, say ready, work, report, leave.

Control messages are JSON. The coordinator says {"do": "clock" | "start" | "vitals" | "settle" | "report" | "stop"}; a
worker answers {"is": "ready" | "clock" | "started" | "vitals" | "settled" | "report" | "error"}, and tells of itself
{"is": "parted"} when the connection with another worker ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shoal import catalog, codec
from shoal.engines import Session
from shoal.errors import InputError, LimitError, ShoalError, WireError
from shoal.program import CLIENT, Header, Program, Segment, check
from shoal.program.bundle import Bundle
from shoal.program.message import CONTROL_EDGE, Flag
from shoal.record import Fact, Span
from shoal.units import format_bytes
from shoal.wire import Delivery, Endpoint, Left
from shoal.worker.clock import Clock
from shoal.worker.runner import Runner
from shoal.worker.throttle import Throttle
from shoal.worker.words import start_of


def load(bundle: Bundle) -> dict[str, Session]:
    """Load every segment of the bundle's unit and run it once, so that the first item meets a warm engine.

    Raises:
        ProgramError: the program is none that could run.
        LimitError: one of its values alone is larger than this machine's memory, or there is none left.
        ModelError: an engine cannot load or run a segment.
    """
    check(bundle.program)
    _check_sizes(bundle.program)
    try:
        return _loaded(bundle)
    except MemoryError as fault:
        raise LimitError("not enough memory for the segments", where=bundle.manifest.unit) from fault


def _check_sizes(program: Program) -> None:
    """Before anything is allocated."""
    most_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    edges = {edge.name: edge.spec for edge in program.edges}
    for name, spec in {**program.tensors, **edges}.items():
        if (needed := spec.bytes(program.sizes)) > most_bytes:
            raise LimitError(
                f"'{name}' does not fit this machine",
                needed=format_bytes(needed), had=format_bytes(most_bytes),
            )  # fmt: skip


def _loaded(bundle: Bundle) -> dict[str, Session]:
    sessions = {}
    for segment in bundle.program.segments:
        if segment.unit == bundle.manifest.unit:
            engine = catalog.make("engines", segment.engine)
            session = engine.load(bundle.program, segment, bundle.folder, bundle.manifest.threads)
            session.run(_zeros(bundle.program, segment), {})
            sessions[segment.name] = session
    return sessions


def serve(bundle: Bundle, sessions: Mapping[str, Session], endpoint: Endpoint, clock: Clock | None = None) -> None:
    """Work until the coordinator says stop or leaves; `clock`: this machine's, unless a test has another.

    Raises:
        ShoalError: after the coordinator was told.
    """
    worker = _Worker(bundle, sessions, endpoint, clock or Clock())
    try:
        worker.loop()
    except ShoalError as fault:
        say(endpoint, {"is": "error", "kind": fault.kind, "message": fault.message, "hint": fault.hint})
        raise
    finally:
        endpoint.close()


def say(endpoint: Endpoint, message: Mapping[str, Any], peer: str = CLIENT) -> None:
    """Send a control message."""
    data = codec.encode(message)
    header = Header(edge=CONTROL_EDGE, flags=Flag.CONTROL, payload_bytes=len(data), shape=(len(data),))
    endpoint.send(header, np.frombuffer(data, dtype=np.uint8), peer)


def heard(endpoint: Endpoint, delivery: Delivery) -> dict[str, Any]:
    """The content of a control message; its memory is released."""
    data = b"" if delivery.array is None else delivery.array.tobytes()
    if delivery.array is not None:
        endpoint.release(delivery)
    try:
        return codec.decode(dict[str, Any], data, delivery.peer)
    except InputError as fault:
        raise WireError("sent a control message that is no JSON object", where=delivery.peer) from fault


class _Worker:
    def __init__(self, bundle: Bundle, sessions: Mapping[str, Session], endpoint: Endpoint, clock: Clock) -> None:
        self._bundle, self._sessions, self._endpoint = bundle, sessions, endpoint
        self._clock = clock
        self._stretch, self._record = 1.0, True
        self._runner = self._fresh()
        self._begin()

    def loop(self) -> None:
        own = {"is": "ready", "unit": self._bundle.manifest.unit, "boot": self._clock.boot}
        say(self._endpoint, own | memory())
        while True:
            special = self._runner.work()
            if isinstance(special, Left) and special.peer == CLIENT:
                return  # whoever asked for the work is gone
            if isinstance(special, Left):  # the client may still hear from both of us
                say(self._endpoint, {"is": "parted", "peer": special.peer, "why": special.why})
            if isinstance(special, Delivery) and not self._obey(heard(self._endpoint, special)):
                return

    def _obey(self, message: Mapping[str, Any]) -> bool:
        match message.get("do"):
            case "start":
                start = start_of(message, CLIENT)
                self._clock.follow(start["origin"])
                self._stretch = start.get("stretch", 1.0)
                self._record = start.get("record", True)
                self._begin()
                say(self._endpoint, {"is": "started"})
            case "clock":
                say(self._endpoint, {"is": "clock", "now_s": self._clock.source_s()})
            case "vitals":
                say(self._endpoint, {"is": "vitals"} | self._runner.vitals() | memory())
            case "settle":
                say(self._endpoint, {"is": "settled", "pending": self._runner.pending} | self._traffic())
            case "report":
                say(self._endpoint, self._report())
            case "stop":
                return False
            case other:
                raise WireError(f"asked for '{other}', which no worker knows", where=CLIENT)
        return True

    def _begin(self) -> None:
        """Count from here: what came before was warming up, or another run."""
        self._runner.clear()
        self._runner = self._fresh()
        self._cpu_s = time.process_time()
        self._sent, self._received = self._endpoint.sent_bytes, self._endpoint.received_bytes

    def _fresh(self) -> Runner:
        manifest = self._bundle.manifest
        pace = manifest.pace.stretched(self._stretch) if manifest.pace else None
        self._throttle = Throttle(manifest.speed) if manifest.speed < 1 else None
        return Runner(
            self._bundle.program, manifest.unit, self._sessions, self._endpoint, self._clock, pace, self._throttle,
            self._record,
        )  # fmt: skip

    def _traffic(self) -> dict[str, int]:
        return {
            "sent_bytes": self._endpoint.sent_bytes - self._sent,
            "received_bytes": self._endpoint.received_bytes - self._received,
        }

    def _report(self) -> dict[str, Any]:
        own = {
            "is": "report",
            "unit": self._bundle.manifest.unit,
            "busy_s": self._runner.busy_s,
            "cpu_s": time.process_time() - self._cpu_s,
            "spans": [_row(span) for span in self._runner.spans],
            "spans_dropped": self._runner.spans_dropped,
            "facts": [(fact.item, fact.subject, fact.kind, fact.value) for fact in self._runner.facts],
            "behind_s": self._throttle.behind_s if self._throttle else None,
            "missed": sorted(self._runner.missed),
        }
        return own | self._traffic() | memory()


def memory() -> dict[str, int]:
    """Resident bytes now and at most, of this process.

    Not from `getrusage`, whose peak is handed down from the parent across fork and exec.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    kib = {name: int(status[name].split()[0]) for name in ("VmRSS", "VmHWM")}
    return {"resident_bytes": kib["VmRSS"] * 1024, "peak_bytes": kib["VmHWM"] * 1024}


def spans_of(report: Mapping[str, Any]) -> tuple[Span, ...]:
    """The spans of a worker's report."""
    unit = report["unit"]
    return tuple(
        Span(kind, unit, name, item, start, end, size) for kind, name, item, start, end, size in report["spans"]
    )


def facts_of(report: Mapping[str, Any]) -> tuple[Fact, ...]:
    """The facts of a worker's report."""
    return tuple(Fact(*row) for row in report["facts"])


def _row(span: Span) -> tuple[str, str, int, float, float, int]:
    return (span.kind, span.name, span.item, span.start_s, span.end_s, span.bytes)


def _zeros(program: Program, segment: Segment) -> dict[str, np.ndarray[Any, Any]]:
    """Zeros for every input of `segment`; sizes that are open are 1."""
    specs, ones = {name: program.tensors[name] for name in segment.inputs}, dict.fromkeys(program.sizes, 1)
    return {name: np.zeros(spec.bound(ones), spec.dtype) for name, spec in specs.items()}
