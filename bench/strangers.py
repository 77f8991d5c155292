"""Strangers and impostors at a real worker's door: how many got something, what it cost the worker.

    python -m bench.strangers [--count 10000] [--seed 0]

One worker process (identity, TLS, null engine) serves throughout; in turn come callers without TLS, with broken
TLS, with foreign, expired, revoked or no certificates, in the wrong role, with wrong hellos, and coordinators of
the fleet that send malformed messages during a run. What each sends is drawn with the seed. Ten times in between
the right client must get the right answer. `accepted`: anything but a refusal came back, or the line stayed open.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench._malformed import ATTEMPTS, HELLOS, INCOMPLETE, MESSAGES, RAW, Attempt, note
from shoal import codec
from shoal.errors import ShoalError, WireError
from shoal.identity import Authority, authority
from shoal.program import CLIENT, HEADER_BYTES, Edge, Header, Program, Route, Segment, Step, Task, TensorSpec
from shoal.program.bundle import Bundle, Manifest
from shoal.program.message import MAGIC
from shoal.wire import Delivery
from shoal.wire.meeting import meet_as_client
from shoal.wire.transports.tcp import Tcp
from shoal.worker import load, serve

Reached = TypeVar("Reached")
UNIT, FLOATS = "nano/cpu", 64
ANSWER_S = 8.0  # longer than a silent caller is waited for
CHECKS = 10


def program() -> Program:
    """The client sends floats to one unit, which answers with zeros."""
    spec = TensorSpec("float32", (FLOATS,))
    edges = (Edge("in", CLIENT, UNIT, "x", "x", spec, 4), Edge("out", UNIT, CLIENT, "y", "y", spec, 4))
    steps = (Step("recv", "in"), Step("run", "s"), Step("send", "out"))
    route = Route("main", ("in",), ("out",), (Task(UNIT, steps),))
    segments = (Segment("s", UNIT, ("x",), ("y",), "null"),)
    return Program("besieged", (UNIT,), edges, segments, (route,), 4, {"x": spec, "y": spec})


@dataclass
class Report:
    """What a siege came to."""

    attempts: int = 0
    served: int = 0  # right answers to the right client, in between
    crashes: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    resident_bytes: int = 0  # of the worker, after the first tenth
    grown_bytes: int = 0  # since then
    peak_bytes: int = 0  # most it ever had, above that

    def text(self, took_s: float) -> str:
        """A line for people."""
        return (
            f"{self.attempts} attempts in {took_s:.0f} s: {self.accepted.total()} accepted, {self.crashes} crashes, "
            f"{self.served} right answers in between; resident {self.resident_bytes / 1e6:.1f} MB, grown "
            f"{self.grown_bytes / 1e6:+.2f} MB, peak {self.peak_bytes / 1e6:+.2f} MB"
        )


class Camp:
    """The fleet, and everyone who wants in."""

    def __init__(self, folder: Path) -> None:
        fleet, other = authority.create(folder / "fleet", "pond"), authority.create(folder / "other", "pond")
        self.worker = fleet.identity(folder / "nano", "nano", "device").folder
        self.lead = fleet.identity(folder / "desk", "desk", "coordinator").folder
        self._contexts = {"none": _context(None, fleet), "self-signed": self._self_signed(folder, fleet)}
        old = fleet.identity(folder / "expired", "expired", "coordinator", valid_days=2 / 86400).folder
        self._contexts["expired"] = _context(old, fleet)
        self._contexts["revoked"] = _context(fleet.identity(folder / "gone", "gone", "coordinator").folder, fleet)
        fleet.revoke("gone")
        self._contexts["foreign"] = _context(
            other.identity(folder / "foreign", "desk", "coordinator").folder, fleet
        )
        self._contexts["device"] = _context(self.worker, fleet)
        self._contexts["other device"] = _context(fleet.identity(folder / "pico", "pico", "device").folder, fleet)
        self._contexts["coordinator"] = _context(self.lead, fleet)
        self._contexts["old TLS"] = _context(self.lead, fleet)
        self._contexts["old TLS"].maximum_version = ssl.TLSVersion.TLSv1_2
        time.sleep(3.1)  # until what expires has

    def context(self, kind: str) -> ssl.SSLContext:
        """How a caller of that kind speaks TLS."""
        return self._contexts[kind]

    def hello(self) -> bytes:
        """A good ClientHello."""
        out = ssl.MemoryBIO()
        with suppress(ssl.SSLWantReadError):
            self._contexts["coordinator"].wrap_bio(ssl.MemoryBIO(), out).do_handshake()
        return out.read()

    def _self_signed(self, folder: Path, fleet: Authority) -> ssl.SSLContext:
        """Whose certificate is an authority's own."""
        alone = authority.create(folder / "alone", "pond").folder
        context = _context(None, fleet)
        context.load_cert_chain(alone / "authority.pem", alone / "authority.key")
        return context


def _context(folder: Path | None, fleet: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=fleet.pem.decode())
    if folder:
        context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


class Siege:
    """Attempts at one worker's address."""

    def __init__(self, camp: Camp, address: str, seed: int) -> None:
        self._camp, self._address, self._what = camp, address, program()
        self._draw, self._hello = random.Random(seed), camp.hello()

    def accepted(self, attempt: Attempt) -> bool:
        """Whether an attempt got anything but a refusal."""
        if attempt.stage == "message":
            return self.answered(MESSAGES[attempt.kind](self._draw, self._what), attempt.kind in INCOMPLETE)
        with self._connection() as sock:
            if attempt.stage == "raw":
                return not _ended(sock, RAW[attempt.kind](self._draw, self._what, self._hello))
            right = note(self._what, codec.encode({"kind": "hello", "party": CLIENT}))
            stranger = attempt.stage == "certificate"
            data = right if stranger else HELLOS[attempt.kind](self._draw, self._what)
            context = self._camp.context(attempt.kind if stranger else "coordinator")
            try:
                with context.wrap_socket(sock, do_handshake_on_connect=False) as secured:
                    secured.do_handshake()
                    return not _ended(secured, data)
            except (ssl.SSLError, ConnectionError):
                return False

    def honest(self) -> bool:
        """Whether the right client gets the right answer."""
        transport = Tcp(identity=str(self._camp.lead))
        end = _patiently(lambda: transport.client(self._what, {UNIT: self._address}))
        try:
            array = np.ones(FLOATS, np.float32)
            end.send(Header(0, 0, dtype="float32", shape=array.shape, payload_bytes=array.nbytes), array)
            while isinstance(came := end.receive(ANSWER_S), Delivery):
                if not came.header.control:
                    return came.header.edge == 1 and came.array is not None and not came.array.any()
            return False
        finally:
            end.close()

    def answered(self, data: bytes, ends: bool = False) -> bool:
        """Whether a coordinator gets more than a refusal for `data` during a run; `ends`: it then ends the line.

        Otherwise the worker must end it.
        """
        sockets = Tcp(identity=str(self._camp.lead)).sockets()
        link = _patiently(lambda: meet_as_client(self._what, sockets, {UNIT: self._address}))[UNIT]
        link.sock.settimeout(ANSWER_S)
        came = bytearray()
        try:
            link.sock.sendall(data)
            if ends:
                link.sock.shutdown(socket.SHUT_WR)
            while not _welcomed(came) and (part := link.sock.recv(1 << 16)):
                came += part
        except TimeoutError:
            return True
        except (WireError, OSError):
            pass
        finally:
            link.sock.close()
        return _welcomed(came)

    @contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        host, port = self._address.split(":")
        with _patiently(lambda: socket.create_connection((host, int(port)), timeout=ANSWER_S)) as sock:
            yield sock


def _patiently(reach: Callable[[], Reached]) -> Reached:
    """What `reach` gives; between two runs the worker is away for a moment."""
    until_s = time.monotonic() + ANSWER_S
    while True:
        try:
            return reach()
        except (ConnectionRefusedError, WireError) as fault:
            away = isinstance(fault, OSError) or isinstance(fault.__cause__, ConnectionRefusedError)
            if not away or time.monotonic() > until_s:
                raise
        time.sleep(0.005)


def _welcomed(came: bytearray) -> bool:
    """Whether a worker said more than that it is ready, and why it ends."""
    messages = [each for each in came.split(MAGIC)[1:] if len(each) > HEADER_BYTES - len(MAGIC)]
    return not all(b'"is":"ready"' in each or b'"is":"error"' in each for each in messages)


def _ended(sock: socket.socket, data: bytes) -> bool:
    """Whether all that comes back after `data` is a refusal and the end."""
    came = bytearray()
    try:
        sock.sendall(data)
        if not isinstance(sock, ssl.SSLSocket):
            sock.shutdown(socket.SHUT_WR)
        else:
            socket.socket.shutdown(sock, socket.SHUT_WR)  # and TLS goes on reading
        while part := sock.recv(1 << 16):
            came += part
    except TimeoutError:
        return False
    except (ssl.SSLError, ConnectionError):
        pass
    return MAGIC not in came or b'"kind":"refused"' in came


def besiege(count: int, seed: int = 0) -> Report:
    """`count` attempts at a new worker process, every kind about as often as any other."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="shoal-") as scratch:
        camp = Camp(Path(scratch))
        command = [sys.executable, "-m", "bench.strangers", "--worker", str(camp.worker)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as worker:
            try:
                assert worker.stdout
                siege = Siege(camp, json.loads(worker.stdout.readline())["listening"], seed)
                _attack(siege, worker.pid, count, seed, report)
            finally:
                report.crashes += worker.poll() is not None
                worker.kill()
    return report


def _attack(siege: Siege, pid: int, count: int, seed: int, report: Report) -> None:
    order = [ATTEMPTS[index % len(ATTEMPTS)] for index in range(count)]
    random.Random(seed).shuffle(order)
    for index, attempt in enumerate(order):
        if index % max(1, count // CHECKS) == 0:
            report.served += siege.honest()
        if index == count // 10:
            report.resident_bytes, before_peak = _memory(pid)
        report.attempts += 1
        try:
            if siege.accepted(attempt):
                report.accepted[f"{attempt.stage}: {attempt.kind}"] += 1
        except (ShoalError, OSError) as fault:
            print(f"{attempt}: {fault}", file=sys.stderr)
            report.crashes += 1
    resident_bytes, peak_bytes = _memory(pid)
    report.grown_bytes, report.peak_bytes = resident_bytes - report.resident_bytes, peak_bytes - before_peak


def _memory(pid: int) -> tuple[int, int]:
    """Resident bytes of a process, now and at most."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    now, most = (int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def work(identity: Path) -> None:
    """Serve one run after another, whatever becomes of each; anything but shoal's own errors is a crash."""
    logging.basicConfig(level=logging.CRITICAL)
    what, address = program(), ""
    bundle = Bundle(what, Manifest(UNIT, what.hash.hex(), 1, {}), identity)
    sessions = load(bundle)

    def announce(actual: str) -> None:
        nonlocal address
        if not address:
            address = actual
            print(json.dumps({"listening": actual}), flush=True)

    while True:
        with suppress(ShoalError):
            serve(bundle, sessions, Tcp(identity=str(identity)).worker(UNIT, what, address, announce))


def main() -> None:
    """Besiege and print; exits with 1 if anything was accepted or broke."""
    parser = argparse.ArgumentParser(description="strangers at a worker's door")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    began_s = time.monotonic()
    report = besiege(options.count, options.seed)
    print(report.text(time.monotonic() - began_s))
    for kind, times in report.accepted.most_common():
        print(f"  accepted {times} x {kind}")
    sys.exit(bool(report.accepted or report.crashes))


if __name__ == "__main__":
    main()
