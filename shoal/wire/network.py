"""Hosts of one machine with networks of their own, and links between them: real sockets, real TCP, slow wires.

    with hosts(("left", "right"), {("left", "right"): hops, ("right", "left"): hops}) as network:
        subprocess.Popen(network.command("left", ["python", ...]))
        with network.inside("right"):
            socket.create_connection((network.address("left"), port))

Each host is a network namespace without a name: it lives as long as the relay process that opened it, or a
process inside it. The relay ends with this process, however that ends, so nothing can be left behind.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shoal import codec
from shoal.errors import InputError, WorkError
from shoal.program import Hop
from shoal.wire.shaping import check_hops

CLONE_NEWNET = 0x40000000
TUN = "/dev/net/tun"
SUBNET = "10.77.0"
MOST_HOSTS = 250
START_S = 10.0  # how long two hosts may take to connect
END_S = 2.0  # how long the relay may take to leave
SLOW_S = 0.01  # a latency beside which the relay's own time does not count
ROUNDS, ROUND_S, FEWEST_TRIALS, MOST_TRIALS = 4, 0.04, 16, 200  # of trying what the relay itself takes
MOST_OWN_S = 0.0001  # more is a busy machine's doing

Ways = Mapping[tuple[str, str], tuple[Hop, ...]]


@dataclass(frozen=True)
class Wiring:
    """What a relay is told: its hosts, and by "source>target" the hops between them."""

    hosts: tuple[str, ...]
    ways: Mapping[str, tuple[Hop, ...]]
    seed: int = 0  # of the losses
    by_kernel: bool = False  # tc tbf holds the rates


class Network:
    """Hosts that are up."""

    def __init__(self, names: Sequence[str], relay: subprocess.Popen[bytes], handles: Mapping[str, int]) -> None:
        self._relay = relay
        self._places = {name: f"/proc/{relay.pid}/fd/{handles[name]}" for name in names}
        self._addresses = {name: address_of(number) for number, name in enumerate(names)}

    def address(self, host: str) -> str:
        """The host's IP address, which the other hosts reach."""
        return self._addresses[self._known(host)]

    def command(self, host: str, command: Sequence[str]) -> list[str]:
        """What starts `command` on `host`; the process id stays that of what is started."""
        return ["nsenter", f"--net={self._places[self._known(host)]}", "--", *command]

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """This thread's new sockets and processes belong to `host` meanwhile; those it has stay where they are."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(Path(self._places[self._known(host)]))
            try:
                yield
            finally:
                _set(own)
        finally:
            os.close(own)

    def lose(self, host: str, probability: float) -> None:
        """From now on packets to and from `host` get lost so often, beside what gets lost on hops; 1 cuts it off.

        Raises:
            InputError: no such host, or no probability.
        """
        self._known(host)
        if not 0 <= probability <= 1:
            raise InputError("a probability is from 0 to 1", where=host, had=f"{probability:g}")
        number = list(self._places).index(host)
        _tell(self._relay, codec.encode({"losses": {str(number): probability}}))

    def part(self, one: str, other: str, *, parted: bool = True) -> None:
        """From now on nothing gets from one of the hosts to the other, or everything again.

        Raises:
            InputError: no such host.
        """
        numbers = sorted(list(self._places).index(self._known(host)) for host in (one, other))
        _tell(self._relay, codec.encode({"parted": {"-".join(map(str, numbers)): parted}}))

    def slow(self, host: str, times: float) -> None:
        """From now on the media take what goes to and from `host` so many times more slowly; 1 is as made.

        Raises:
            InputError: no such host, or no such factor.
        """
        self._known(host)
        if not 0 < times < math.inf:
            raise InputError("a factor is above 0", where=host, had=f"{times:g}")
        number = list(self._places).index(host)
        _tell(self._relay, codec.encode({"slower": {str(number): times}}))

    def trip_s(self, one: str, other: str, trials: int = 100) -> float:
        """Seconds of a byte's way from one host to another and back, both ends in this thread.

        The lower quartile: other work on this machine only ever adds.
        """
        with _connected(self, one, other) as ends:
            return sorted(_trip_s(*ends) for _ in range(trials))[trials // 4]

    def _known(self, host: str) -> str:
        if host not in self._places:
            raise InputError(f"no host is called '{host}'", had=", ".join(self._places))
        return host


@contextmanager
def hosts(
    names: Sequence[str], ways: Ways, *, loss: float = 0.0, seed: int = 0, by_kernel: bool = False
) -> Iterator[Network]:
    """Hosts called `names`, joined by `ways`: the hops from one host to another, each direction for itself.

    Rates are those of payload; `loss` is the probability that a packet gets lost on a hop, drawn by `seed`.
    `by_kernel`: `tc tbf` holds the rates in place of the relay. Each host then needs one rate to all others, and
    no medium may be shared.

    Raises:
        InputError: this process may not make namespaces, or the ways make no sense.
        WorkError: the hosts could not be made.
    """
    why = unavailable()
    if why:
        raise InputError(
            "this process cannot make hosts", had=why, hint="run as root, or shape links: --over shaped"
        )
    _check(names, ways, loss, by_kernel)
    wiring = Wiring(tuple(names), {">".join(way): hops for way, hops in ways.items()}, seed, by_kernel)
    command = [sys.executable, "-m", "shoal.wire.relay"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as relay:
        try:
            yield _ready(relay, wiring, ways, loss)
        finally:
            _end(relay)


def address_of(number: int) -> str:
    """The IP address of the host with this number, from 0."""
    return f"{SUBNET}.{number + 1}"


@cache
def unavailable() -> str:
    """Why this process cannot make hosts; empty if it can. Tried in a process of its own."""
    if sys.platform != "linux":
        return "no Linux"
    if not Path(TUN).exists():
        return f"no {TUN}"
    missing = [tool for tool in ("ip", "nsenter") if shutil.which(tool) is None]
    if missing:
        return f"no {missing[0]}"
    code = (
        f"import ctypes, os, sys; os.open('{TUN}', os.O_RDWR); sys.exit(ctypes.CDLL(None).unshare({CLONE_NEWNET}))"
    )
    tried = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "no right to make network namespaces"


def unshare() -> int:
    """Put this thread into a new network namespace; a handle that keeps it alive.

    Raises:
        OSError: it may not.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _set(handle)
    finally:
        os.close(handle)


def _set(handle: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _check(names: Sequence[str], ways: Ways, loss: float, by_kernel: bool) -> None:
    if len(set(names)) != len(names) or not 2 <= len(names) <= MOST_HOSTS:
        raise InputError("hosts need names of their own", needed=f"2 to {MOST_HOSTS}", had=", ".join(names))
    if not 0 <= loss < 1:
        raise InputError("the loss is no probability below 1", needed="0 <= loss < 1", had=f"{loss:g}")
    for (source, target), hops in ways.items():
        if source == target or not {source, target} <= set(names):
            raise InputError(f"no way leads from '{source}' to '{target}'", had=", ".join(names))
        check_hops(f"{source}>{target}", hops)
    if by_kernel:
        _check_kernel(ways)


def _check_kernel(ways: Ways) -> None:
    """One queue at each host's end must be all there is to a rate."""
    rates: dict[str, float] = {}
    media = [hop.medium for hops in ways.values() for hop in hops]
    for (source, _), hops in ways.items():
        if len(hops) != 1 or rates.setdefault(source, hops[0].bytes_per_s) != hops[0].bytes_per_s:
            raise InputError("tbf holds one rate a host", where=source, hint="let the relay hold the rates")
    if len(set(media)) != len(media):
        raise InputError("tbf cannot share a medium between hosts", hint="let the relay hold the rates")


def _ready(relay: subprocess.Popen[bytes], wiring: Wiring, ways: Ways, loss: float) -> Network:
    """The hosts once they are joined."""
    try:
        network = Network(wiring.hosts, relay, _started(relay, wiring))
        _calibrate(network, ways, relay)
        _tell(relay, codec.encode({"loss": loss}))  # only now: what gets lost would spoil the calibration
    except OSError as fault:
        raise WorkError(f"the hosts do not reach each other: {fault}") from fault
    return network


def _started(relay: subprocess.Popen[bytes], wiring: Wiring) -> dict[str, int]:
    """The handles of the namespaces in the relay, once it relays."""
    assert relay.stdout is not None
    _tell(relay, codec.encode(wiring))
    line = relay.stdout.readline()
    if not line:
        raise WorkError("the relay between the hosts did not start", had=f"exit code {relay.wait(END_S)}")
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        raise WorkError(f"the hosts could not be made: {said['error']}")
    handles: dict[str, int] = said["handles"]
    return handles


def _tell(relay: subprocess.Popen[bytes], line: bytes) -> None:
    assert relay.stdin is not None
    relay.stdin.write(line + b"\n")
    relay.stdin.flush()


def _calibrate(network: Network, ways: Ways, relay: subprocess.Popen[bytes]) -> None:
    """Tell the relay what relaying itself adds to a latency, tried on the quickest way.

    A few rounds, because that depends on how long the relay sleeps, which what it was told changes.
    """
    trips = {way: (_latency_s(ways[way]) + _latency_s(ways[way[::-1]])) / 2 for way in ways if way[::-1] in ways}
    if not trips or min(trips.values()) > SLOW_S:
        return  # it would not be noticed
    way = min(trips, key=lambda each: trips[each])
    trials = round(min(MOST_TRIALS, max(FEWEST_TRIALS, ROUND_S / max(trips[way], 1e-6))))
    own_s = 0.0
    for _ in range(ROUNDS):
        own_s = min(MOST_OWN_S, max(0.0, own_s + network.trip_s(*way, trials) / 2 - trips[way]))
        _tell(relay, codec.encode({"own_s": own_s}))


def _latency_s(hops: Sequence[Hop]) -> float:
    return sum(hop.latency_s for hop in hops)


@contextmanager
def _connected(network: Network, one: str, other: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection between two hosts."""
    with network.inside(other):
        listener = socket.create_server((network.address(other), 0))
    with listener:
        listener.settimeout(START_S)
        with network.inside(one):
            near = socket.create_connection(listener.getsockname(), timeout=START_S)
        far, _ = listener.accept()
    with near, far:
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield near, far


def _trip_s(one: socket.socket, other: socket.socket) -> float:
    """Seconds of one byte's way there and back."""
    begun_s = time.perf_counter()
    one.send(b"\0")
    other.recv(1)
    other.send(b"\0")
    one.recv(1)
    return time.perf_counter() - begun_s


def _end(relay: subprocess.Popen[bytes]) -> None:
    assert relay.stdin is not None
    try:
        relay.stdin.close()  # it is tied to this
        relay.wait(END_S)
    except (subprocess.TimeoutExpired, BrokenPipeError):
        relay.kill()
