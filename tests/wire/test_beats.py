"""Signs of life: who is frozen or cut off is noticed, who is slow or busy is not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

import shoal
from shoal import catalog
from shoal.errors import InputError
from shoal.program import CLIENT
from shoal.program.message import HEADER_BYTES
from shoal.wire import Endpoint, Left
from tests.contracts.test_transports import A, Announced, copied, filled, header, process, program, transports
from tests.pond import TLS

BEAT_S = 0.2
WAYS = ("tcp", TLS)
WHAT = program((CLIENT, A), (A, CLIENT), shape=("n",))


def beating(name: str, beat_s: float = BEAT_S) -> str:
    return f"{name}{',' if ':' in name else ':'}beat_s={beat_s:g}"


class Relay:
    """A line between two ends that can be cut without either hearing of it, or made slow."""

    def __init__(self, target: str) -> None:
        self.whole = threading.Event()
        self.whole.set()
        self.bytes_per_s = 0  # 0: as quick as can be
        self.carried = {"there": 0, "back": 0}
        self._target = target
        self._door = socket.create_server(("127.0.0.1", 0))
        self._socks: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._open)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._door.getsockname()[1]}"

    def close(self) -> None:
        self.whole.set()
        for sock in self._socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for sock in (*self._socks, self._door):
            sock.close()

    def _open(self) -> None:
        near, _ = self._door.accept()
        host, port = self._target.split(":")
        far = socket.create_connection((host, int(port)))
        self._socks += [near, far]
        for name, source, target in (("there", near, far), ("back", far, near)):
            thread = threading.Thread(target=self._carry, args=(name, source, target))
            self._threads.append(thread)
            thread.start()

    def _carry(self, name: str, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 12):
                self.whole.wait()
                if self.bytes_per_s:
                    time.sleep(len(data) / self.bytes_per_s)
                target.sendall(data)
                self.carried[name] += len(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def joined(name: str, what: object = WHAT) -> Iterator[tuple[Endpoint, Endpoint, Relay]]:
    """The client's endpoint and a unit's, with a relay between them."""
    ways, announced = transports(name, WHAT), Announced()
    with ThreadPoolExecutor(1) as pool:
        unit = pool.submit(ways[A].worker, A, WHAT, "", announced.by(A))
        relay = Relay(announced.wait(1)[A])
        client = ways[CLIENT].client(WHAT, {A: relay.address})
        end = unit.result(10)
    try:
        yield client, end, relay
    finally:
        relay.close()
        client.close()
        end.close()


@pytest.mark.serial
@pytest.mark.parametrize("name", WAYS)
def test_a_frozen_process_is_noticed_within_four_beats(name: str) -> None:
    with process(beating(name), WHAT) as (end, child):
        array = filled(1, 1000)
        end.send(header(array), array)
        assert copied(end).tolist() == array.tolist()
        os.kill(child.pid, signal.SIGSTOP)
        began_s = time.monotonic()
        left = end.receive(10)
        assert isinstance(left, Left)
        assert left.peer == A
        assert left.why.startswith("not heard for 0.")
        assert 2 * BEAT_S < time.monotonic() - began_s < 5 * BEAT_S
        assert end.receive(0.1) is None  # once
        end.send(header(array), array)  # does nothing


@pytest.mark.parametrize("name", WAYS)
def test_both_ends_notice_a_cut_link(name: str) -> None:
    with joined(beating(name)) as (client, unit, relay):
        time.sleep(2 * BEAT_S)
        relay.whole.clear()
        for end, peer in ((client, A), (unit, CLIENT)):
            left = end.receive(10)
            assert isinstance(left, Left)
            assert left.peer == peer
            assert "not heard for" in left.why


@pytest.mark.parametrize("name", WAYS)
def test_a_send_that_waits_for_a_frozen_peer_comes_back(name: str) -> None:
    with joined(beating(name)) as (client, _, relay), ThreadPoolExecutor(1) as pool:
        relay.whole.clear()  # at once: to the client everyone has been ready
        array = filled(1, 1000)

        def send_all() -> None:
            for item in range(10_000):  # 40 MB
                client.send(header(array, 0, item), array)

        pool.submit(send_all).result(20)
        assert isinstance(client.receive(5), Left)


@pytest.mark.parametrize("name", WAYS)
def test_idle_connections_stay_and_beats_are_no_messages(name: str) -> None:
    with joined(beating(name)) as (client, unit, relay):
        assert client.receive(8 * BEAT_S) is None
        assert unit.receive(0) is None
        assert min(relay.carried.values()) > 8 * HEADER_BYTES
        assert client.received_bytes == unit.received_bytes == 0
        array = filled(2, 1000)
        client.send(header(array), array)
        assert copied(unit).tolist() == array.tolist()


@pytest.mark.parametrize("name", WAYS)
def test_a_payload_that_trickles_in_is_a_sign_of_life_and_stays_whole(name: str) -> None:
    big = program((CLIENT, A), (A, CLIENT), shape=(200_000,))
    data = np.random.default_rng(0).random(200_000, np.float32)
    ways, announced = transports(beating(name, 0.1), big), Announced()
    with ThreadPoolExecutor(1) as pool:
        unit = pool.submit(ways[A].worker, A, big, "", announced.by(A))
        relay = Relay(announced.wait(1)[A])
        client, end = ways[CLIENT].client(big, {A: relay.address}), unit.result(10)
    relay.bytes_per_s = 800_000
    began_s = time.monotonic()
    for item in range(2):
        client.send(header(data, 0, item), data)
        end.send(header(data, 1, item), data)
    for _ in range(2):
        assert np.array_equal(copied(end, 20), data)
        assert np.array_equal(copied(client, 20), data)
    assert time.monotonic() - began_s > 1.0
    relay.close()
    client.close()
    end.close()


def test_who_does_not_read_for_long_is_not_gone() -> None:
    """The client sends more than is read; both ends' beats cannot pass the full line, and nobody minds."""
    with joined(beating("tcp", 0.1)) as (client, unit, _):
        array = filled(3, 1000)
        for item in range(4):
            client.send(header(array, 0, item), array)
        time.sleep(1.0)
        assert [copied(unit)[0] for _ in range(4)] == [3] * 4
        assert client.receive(0.1) is None


def test_a_short_stop_is_forgiven() -> None:
    with process(beating("tcp", 0.4), WHAT) as (end, child):
        array = filled(1, 1000)
        for _ in range(2):
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(0.4)
            os.kill(child.pid, signal.SIGCONT)
            end.send(header(array), array)
            assert copied(end).tolist() == array.tolist()


BOTH = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from shoal import catalog
from tests.contracts.test_transports import *

what = program((CLIENT, A), (A, CLIENT))
with connected("tcp:beat_s=0.1", what) as ends:
    print("up", flush=True)
    sys.stdin.readline()
    time.sleep(0.5)
    print([end.receive(0) for end in ends.values()], flush=True)
"""


def test_who_was_frozen_itself_blames_nobody() -> None:
    root = str(Path(shoal.__file__).parents[1])
    command = [sys.executable, "-c", BOTH]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        assert child.stdout.readline() == "up\n"
        time.sleep(0.3)
        os.kill(child.pid, signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(child.pid, signal.SIGCONT)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "[None, None]\n"


def test_one_side_that_gives_no_beats_is_not_expected_to() -> None:
    announced = Announced()
    with ThreadPoolExecutor(1) as pool:
        unit = pool.submit(catalog.make("wire/transports", "tcp").worker, A, WHAT, "", announced.by(A))
        client = catalog.make("wire/transports", "tcp:beat_s=0.05").client(WHAT, announced.wait(1))
        end = unit.result(10)
    assert client.receive(0.5) is None
    assert end.receive(0) is None
    client.close()
    end.close()


@pytest.mark.parametrize("beat", ["-1", "0.01", "inf", "nan"])
def test_what_is_no_interval_is_refused(beat: str) -> None:
    with pytest.raises(InputError, match="no interval for beats"):
        catalog.make("wire/transports", f"tcp:beat_s={beat}")
