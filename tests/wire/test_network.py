"""Hosts as network namespaces: real TCP over a relay, lossy, shared, and gone with whoever made them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

import shoal
from shoal.errors import InputError
from shoal.program import Hop
from shoal.wire import Network, hosts
from shoal.wire.network import Wiring, unavailable
from shoal.wire.relay import LARGEST, SMALLEST, mtu_bytes, payload_bytes
from shoal.wire.socks import Stream

needs_hosts = pytest.mark.skipif(bool(unavailable()), reason=f"cannot make hosts: {unavailable()}")
OWN = "/proc/thread-self/ns/net"
QUICK = Hop("quick", 1e8, 0.002)


def both(one: str, other: str, hop: Hop) -> dict[tuple[str, str], tuple[Hop, ...]]:
    """The hop each way, each way with a medium of its own."""
    ways = ((one, other), (other, one))
    return {way: (Hop(f"{hop.medium}:{way[0]}>{way[1]}", hop.bytes_per_s, hop.latency_s),) for way in ways}


@contextmanager
def joined(network: Network, source: str, target: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection."""
    with network.inside(target):
        listener = socket.create_server((network.address(target), 0))
    with listener, network.inside(source):
        one = socket.create_connection(listener.getsockname(), timeout=10)
        other, _ = listener.accept()
    with one, other:
        other.settimeout(30)
        yield one, other


def swallow(sock: socket.socket, size: int) -> float:
    """Read so many bytes; when the last one came."""
    while size:
        part = sock.recv(min(size, 1 << 20))
        assert part
        size -= len(part)
    return time.monotonic()


def arrived(sock: socket.socket) -> int:
    """How many packets come until none does any more."""
    count = 0
    try:
        while sock.recv(1):
            count += 1
    except TimeoutError:
        return count
    return count


@needs_hosts
def test_hosts_talk_among_each_other_only_and_nothing_is_left() -> None:
    own = os.readlink(OWN)
    with hosts(("left", "right", "third"), both("left", "right", QUICK)) as network:
        with joined(network, "left", "right") as (one, other):
            began = time.monotonic()
            one.sendall(b"there")
            assert other.recv(5) == b"there"
            other.sendall(b"back")
            assert one.recv(4) == b"back"
            assert time.monotonic() - began >= 0.0038
        with network.inside("third"), socket.socket() as stranger:  # no way leads there
            stranger.settimeout(0.2)
            with pytest.raises(TimeoutError):
                stranger.connect((network.address("left"), 1))
        assert os.readlink(OWN) == own
        shown = subprocess.run(network.command("left", ["ip", "addr"]), capture_output=True, text=True, check=True)
        assert network.address("left") in shown.stdout
        assert network.address("right") not in shown.stdout
        (relay,) = psutil.Process().children()
        with pytest.raises(InputError, match="'nobody'"):
            network.address("nobody")
    assert not relay.is_running()


@needs_hosts
@pytest.mark.serial
@pytest.mark.parametrize("by_kernel", [False, True])
def test_a_rate_holds(by_kernel: bool) -> None:
    """Half a MB at a time over 4 MB/s; the first MB opens TCP's window."""
    ways = both("left", "right", Hop("wire", 4e6, 0.002))
    with (
        hosts(("left", "right"), ways, by_kernel=by_kernel) as network,
        joined(network, "left", "right") as (one, other),
    ):
        sending = threading.Thread(target=one.sendall, args=(bytes(3_500_000),))
        sending.start()
        moments = [swallow(other, size) for size in (1_000_000, *[500_000] * 5)]
        took_s = sorted(end - begin for begin, end in pairwise(moments))
        assert took_s[2] == pytest.approx(0.125, rel=0.08)
        sending.join()


@needs_hosts
@pytest.mark.serial
def test_two_hosts_share_a_medium() -> None:
    """Each sends 0.5 MB over the same 4 MB/s."""
    radio = Hop("radio", 4e6, 0.001)
    ways = {(a, b): (radio,) for a in ("one", "two", "hub") for b in ("one", "two", "hub") if a != b}
    with (
        hosts(("one", "two", "hub"), ways) as network,
        joined(network, "one", "hub") as (first, first_far),
        joined(network, "two", "hub") as (second, second_far),
    ):
        begun = time.monotonic()
        for sock in (first, second):
            threading.Thread(target=sock.sendall, args=(bytes(500_000),)).start()
        last = max(swallow(first_far, 500_000), swallow(second_far, 500_000))
        assert last - begun == pytest.approx(0.25, abs=0.06)


@needs_hosts
def test_a_host_is_cut_off_and_comes_back() -> None:
    with (
        hosts(("left", "right"), both("left", "right", QUICK)) as network,
        joined(network, "left", "right") as (one, other),
    ):
        network.lose("right", 1.0)
        one.sendall(b"x")
        other.settimeout(0.3)
        with pytest.raises(TimeoutError):
            other.recv(1)
        network.lose("right", 0.0)
        other.settimeout(30)
        assert other.recv(1) == b"x"
        with pytest.raises(InputError, match="probability"):
            network.lose("left", 2.0)


@needs_hosts
def test_two_hosts_are_parted_and_others_are_not() -> None:
    ways = both("left", "right", QUICK) | both("left", "third", QUICK)
    with (
        hosts(("left", "right", "third"), ways) as network,
        joined(network, "left", "right") as (one, other),
        joined(network, "left", "third") as (near, far),
    ):
        network.part("right", "left")
        one.sendall(b"x")
        near.sendall(b"y")
        assert far.recv(1) == b"y"
        other.settimeout(0.3)
        with pytest.raises(TimeoutError):
            other.recv(1)
        network.part("left", "right", parted=False)
        other.settimeout(30)
        assert other.recv(1) == b"x"
        with pytest.raises(InputError, match="no host"):
            network.part("left", "fourth")


@needs_hosts
def test_the_kernel_knows_what_a_link_takes_and_when_it_slows_down() -> None:
    with (
        hosts(("left", "right"), both("left", "right", Hop("wire", 1e7, 0.002))) as network,
        joined(network, "left", "right") as (one, other),
    ):
        stream = Stream(one)

        def rate_after(size: int) -> float:
            reader = threading.Thread(target=swallow, args=(other, size))
            reader.start()
            for _ in range(4):  # as messages with pauses, which must not count
                stream.write([memoryview(bytes(size // 4))])
                time.sleep(0.02)
            reader.join()
            return stream.rate_bytes_per_s()

        assert rate_after(4_000_000) == pytest.approx(1e7, rel=0.3)
        network.slow("right", 8)
        assert rate_after(2_000_000) == pytest.approx(1e7 / 8, rel=0.3)
        network.slow("right", 1)
        assert rate_after(4_000_000) == pytest.approx(1e7, rel=0.3)
        with pytest.raises(InputError, match="factor"):
            network.slow("right", 0)


@needs_hosts
def test_what_gets_lost_comes_again_and_as_often_as_it_should() -> None:
    with hosts(("left", "right"), both("left", "right", QUICK), loss=0.1, seed=5) as network:
        with joined(network, "left", "right") as (one, other):
            data = os.urandom(200_000)
            one.sendall(data)
            other.settimeout(None)  # so that it waits for all
            assert other.recv(len(data), socket.MSG_WAITALL) == data
        with network.inside("right"):
            taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with network.inside("left"):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with taker, sender:
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            taker.bind((network.address("right"), 0))
            taker.settimeout(0.5)
            for _ in range(1000):
                sender.sendto(b"1", taker.getsockname())
                time.sleep(0.0002)
            came = arrived(taker)
        assert 850 <= came <= 945  # 900, give or take five standard deviations


MAKER = """
import sys, time
from shoal.program import Hop
from shoal.wire import hosts
ways = {("a", "b"): (Hop("x", 1e6, 0.1),)}
with hosts(("a", "b"), ways):
    print("up", flush=True)
    time.sleep(60)
"""


@needs_hosts
def test_a_maker_that_is_killed_leaves_nothing() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(shoal.__file__).parents[1])}
    command = [sys.executable, "-c", MAKER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"up\n"
        (relay,) = psutil.Process(maker.pid).children()
        maker.send_signal(signal.SIGKILL)
        maker.wait()
        psutil.wait_procs([relay], timeout=5)
        assert not relay.is_running()


@needs_hosts
def test_bad_networks_are_refused() -> None:
    for names, ways, by_kernel, match in (
        (("a",), {}, False, "names of their own"),
        (("a", "a"), {}, False, "names of their own"),
        (("a", "b"), {("a", "c"): (QUICK,)}, False, "from 'a' to 'c'"),
        (("a", "b"), {("a", "b"): (Hop("x", 0.0, 0.1),)}, False, "0 B/s"),
        (("a", "b"), {("a", "b"): (QUICK,), ("b", "a"): (QUICK,)}, True, "share a medium"),
        (("a", "b"), {("a", "b"): (QUICK, Hop("x", 1.0, 0.1))}, True, "one rate a host"),
    ):
        with pytest.raises(InputError, match=match), hosts(names, ways, by_kernel=by_kernel):
            pass
    with pytest.raises(InputError, match="probability"), hosts(("a", "b"), {}, loss=1.5):
        pass


def test_a_packet_counts_without_its_headers_and_is_short_on_a_slow_medium() -> None:
    tcp = bytearray(20 + 32 + 7)
    tcp[0], tcp[9], tcp[32] = 0x45, 6, 8 << 4
    udp = bytearray(24 + 8 + 5)
    udp[0], udp[9] = 0x46, 17
    assert (payload_bytes(bytes(tcp)), payload_bytes(bytes(udp))) == (7, 5)
    sizes = [mtu_bytes(Wiring(("a", "b"), {"a>b": (Hop("x", rate, 0.1),)})) for rate in (1e3, 1e7, 1e9)]
    assert sizes == [SMALLEST, 5000, LARGEST]
