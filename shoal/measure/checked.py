"""Is an imitated link what it should be? Measured by echoes, and refused when it is not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from shoal import catalog
from shoal.errors import WireError, WorkError
from shoal.measure.link import HEAD, MARK, TIMEOUT_S, LinkFigures
from shoal.measure.messages import UNIT, echo_program
from shoal.program import Header, Hop, Program
from shoal.wire import Delivery, Endpoint, Network, hosts, write_links

TOLERANCE = 0.05  # relative error of latency and of bandwidth
BURST = 6  # messages of which the first five set the pace of a bandwidth
BURST_S = 0.06  # what one of them takes on the link
ECHOES_S = 0.5  # how long single bytes go to and fro
OWN_ECHOES = 100
NETWORKS, HOSTS_TRIES = 3, 2
LISTENS = "7707"
ATOMIC_BYTES = 4096  # a socket takes so much without a stop


@dataclass(frozen=True)
class LinkReport:
    """What a link should do and what it did, one way."""

    name: str
    wanted: LinkFigures
    measured: LinkFigures
    tries: int = 1  # measurements until one was within the tolerance: above 1, a single one may well miss it

    @property
    def latency_error(self) -> float:
        """Relative; above zero: slower than wanted."""
        return self.measured.latency_s / self.wanted.latency_s - 1

    @property
    def bandwidth_error(self) -> float:
        """Relative; above zero: faster than wanted."""
        return self.measured.bandwidth_bytes_per_s / self.wanted.bandwidth_bytes_per_s - 1


class Way(Protocol):
    """Something payloads go over, one byte coming back for each."""

    @property
    def own_s(self) -> float:
        """What an echo takes beyond the link, there and back."""

    def ask(self, sizes: list[int]) -> list[float]:
        """Send payloads of these sizes (bytes) at once; the moments (s) of the first byte's leaving and each answer."""


def measured(way: Way, wanted: LinkFigures) -> LinkFigures:
    """Latency and bandwidth of `way`; `wanted` says how many messages of which size make sense.

    Latency is half the round trip of one byte, its lower quartile, because other work on this machine only ever
    adds to it; bandwidth that of a burst, from the first message's end to the last one's, after such bursts have
    opened TCP's window.
    """
    size = max(1, round(wanted.bandwidth_bytes_per_s * BURST_S))
    way.ask([size] * BURST)
    way.ask([size] * BURST)
    _, first_s, *_, last_s = way.ask([size] * BURST)
    echoes = min(200, max(4, round(ECHOES_S / (2 * wanted.latency_s + 1e-6))))
    trips_s = sorted(end - begin for begin, end in (way.ask([1]) for _ in range(echoes)))
    return LinkFigures((trips_s[echoes // 4] - way.own_s) / 2, size * (BURST - 1) / (last_s - first_s))


def checked(name: str, way: Way, wanted: LinkFigures, tolerance: float = TOLERANCE, tries: int = 5) -> LinkReport:
    """The report of a link that keeps what it should within `tolerance`; a busy machine gets `tries`.

    Raises:
        WorkError: it does not; what was wanted and what was measured.
    """
    for number in range(1, tries + 1):
        report = LinkReport(name, wanted, measured(way, wanted), number)
        if abs(report.latency_error) <= tolerance and abs(report.bandwidth_error) <= tolerance:
            return report
    raise WorkError(
        f"the link is not what it should be to {tolerance:.0%}", where=name, needed=_text(wanted),
        had=_text(report.measured), hint="this machine may be too busy, or too slow for such a link",
    )  # fmt: skip


def check_shaped(wanted: LinkFigures, inner: str = "shm", tolerance: float = TOLERANCE) -> LinkReport:
    """Check the transport `shaped` between two processes of this machine.

    Raises:
        WorkError: it does not keep the figures within `tolerance`.
    """
    with shaped_way(wanted, inner) as way:
        return checked(f"shaped:inner={inner}", way, wanted, tolerance)


def check_hosts(wanted: LinkFigures, by_kernel: bool = False, tolerance: float = TOLERANCE) -> LinkReport:
    """Check TCP between two network namespaces.

    Raises:
        InputError: this process may not make namespaces.
        WorkError: they do not keep the figures within `tolerance`.
    """
    name = f"hosts, rate by {'tbf' if by_kernel else 'relay'}"
    for network in range(
        NETWORKS
    ):  # a relay is set by what it took at its start, when the machine may have been busy
        last = network + 1 == NETWORKS
        with hosts_way(wanted, by_kernel) as way, nullcontext() if last else suppress(WorkError):
            report = checked(name, way, wanted, tolerance, HOSTS_TRIES)
            return replace(report, tries=network * HOSTS_TRIES + report.tries)
    raise AssertionError("the last network answers or raises")


@contextmanager
def shaped_way(wanted: LinkFigures, inner: str = "shm") -> Iterator[Way]:
    """To an echo in another process and back, over shaped links of the `wanted` figures each way."""
    size = max(1, round(wanted.bandwidth_bytes_per_s * BURST_S))
    program = echo_program(size, BURST)
    ways = {edge.name: (_hop(edge.name, wanted),) for edge in program.edges}
    with (
        tempfile.TemporaryDirectory(prefix="shoal-") as scratch,
        _messages_way(f"shaped:inner={inner},links={write_links(ways, Path(scratch))}", program, size) as way,
    ):
        yield way


def own_latency_s(inner: str = "shm") -> float:
    """What one byte takes from process to process over `inner` itself; no link can be imitated that is faster."""
    with _messages_way(inner, echo_program(1, BURST), 1) as way:
        trips_s = sorted(end - begin for begin, end in (way.ask([1]) for _ in range(OWN_ECHOES)))
    return trips_s[OWN_ECHOES // 4] / 2


@contextmanager
def _messages_way(over: str, program: Program, size: int) -> Iterator[Way]:
    command = [sys.executable, "-m", "shoal.measure.echo", "--over", over, "--bytes", str(size)]
    with _echoing([*command, "--burst", str(BURST)]) as address:
        end = catalog.make("wire/transports", over).client(program, {UNIT: address})
        try:
            yield _Messages(end)
        finally:
            end.close()


@contextmanager
def hosts_way(wanted: LinkFigures, by_kernel: bool = False) -> Iterator[Way]:
    """TCP to an echo on another host, over a link of the `wanted` figures each way."""
    ways = {way: (_hop(":".join(way), wanted),) for way in (("one", "two"), ("two", "one"))}
    with hosts(("one", "two"), ways, by_kernel=by_kernel) as network, socket_way(network, "one", "two") as way:
        yield way


@contextmanager
def socket_way(network: Network, source: str, target: str) -> Iterator[Way]:
    """TCP from one host of `network` to an echo on another.

    What answering takes the echo process is tried on the host itself, where there is no link.
    """
    where = f"{network.address(target)}:{LISTENS}"
    with _echoing(network.command(target, [sys.executable, "-m", "shoal.measure.echo", where])):
        with _asking(network, target, target) as link:
            alike = _Bytes(link)
            trips_s = sorted(end - begin for begin, end in (alike.ask([1]) for _ in range(OWN_ECHOES)))
        own_s = max(0.0, trips_s[OWN_ECHOES // 4] - network.trip_s(target, target))
        with _asking(network, source, target) as link:
            yield _Bytes(link, own_s)


@contextmanager
def _asking(network: Network, source: str, target: str) -> Iterator[socket.socket]:
    with network.inside(source):
        link = socket.create_connection((network.address(target), int(LISTENS)), timeout=TIMEOUT_S)
    with link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield link


class _Messages:
    """A way over a transport, which counts what it takes itself as the link's."""

    own_s = 0.0

    def __init__(self, end: Endpoint) -> None:
        self._end, self._items = end, 0

    def ask(self, sizes: list[int]) -> list[float]:
        arrays = [np.zeros(size, np.uint8) for size in sizes]
        moments = [time.perf_counter()]
        for array in arrays:
            self._end.send(Header(0, self._items, shape=array.shape, payload_bytes=array.nbytes), array)
            self._items += 1
        for _ in sizes:
            found = self._end.receive(TIMEOUT_S)
            moments.append(time.perf_counter())
            if not isinstance(found, Delivery):
                raise WireError("no echo came back", where=UNIT)
            self._end.release(found)
        return moments


class _Bytes:
    """A way over a socket to the echo server."""

    def __init__(self, link: socket.socket, own_s: float = 0.0) -> None:
        self._link, self.own_s = link, own_s

    def ask(self, sizes: list[int]) -> list[float]:
        parts = b"".join(HEAD.pack(MARK, size) + bytes(size) for size in sizes)
        sending = threading.Thread(target=self._link.sendall, args=(parts,), daemon=True)  # answers come meanwhile
        moments = [time.perf_counter()]
        if len(parts) > ATOMIC_BYTES:
            sending.start()
        else:
            self._link.sendall(parts)
        for _ in sizes:
            if self._link.recv(1) != b"\1":
                raise WireError("no echo came back")
            moments.append(time.perf_counter())
        return moments


@contextmanager
def _echoing(command: list[str]) -> Iterator[str]:
    """An echo process; where it listens."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise WorkError("the echo process did not start")
            yield json.loads(line)["listening"]
        finally:
            process.kill()


def _hop(medium: str, figures: LinkFigures) -> Hop:
    return Hop(medium, figures.bandwidth_bytes_per_s, figures.latency_s)


def _text(figures: LinkFigures) -> str:
    return f"{figures.bandwidth_bytes_per_s * 8 / 1e6:.4g} Mbit/s, {figures.latency_s * 1e3:.4g} ms"
