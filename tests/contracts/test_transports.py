"""What every transport promises, and what the ones with sockets do about strangers and deaths."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shoal
from shoal import catalog
from shoal.errors import WireError
from shoal.program import CLIENT, Edge, Flag, Header, Hop, Program, Route, TensorSpec
from shoal.program.message import CONTROL_EDGE
from shoal.wire import Delivery, Endpoint, Left, Transport, write_links
from tests.pond import TLS, own

TCP = ("tcp", "tcp:beat_s=0.1", TLS, f"{TLS},beat_s=0.1", "shaped:inner=tcp", f"shaped:inner={TLS};beat_s=0.1")
SOCKETS = ("shm", "shaped:inner=shm", *TCP)
NAMES = ("memory", "shaped:inner=memory", *SOCKETS)
A, B = "a/cpu", "b/cpu"
ROUTES = (Route("main", (), (), ()),)


def program(
    *edges: tuple[str, str], shape: tuple[int | str, ...] = (4,), buffer: int = 4, name: str = "p"
) -> Program:
    spec = TensorSpec("float32", shape)
    made = [
        Edge(f"e{i}", *way, tensor="x", delivers="x", spec=spec, buffer_items=buffer) for i, way in enumerate(edges)
    ]
    units = tuple(sorted({party for way in edges for party in way} - {CLIENT}))
    return Program(name, units, tuple(made), (), ROUTES, buffer, {}, sizes={"n": 1000})


CHAIN = program((CLIENT, A), (A, B), (B, CLIENT))


def header(array: np.ndarray[Any, Any] | None, edge: int = 0, item: int = 0) -> Header:
    if array is None:
        return Header(edge, item, flags=Flag.EMPTY)
    return Header(edge, item, dtype=str(array.dtype), shape=array.shape, payload_bytes=array.nbytes)


def control(text: bytes) -> tuple[Header, np.ndarray[Any, Any]]:
    head = Header(CONTROL_EDGE, flags=Flag.CONTROL, shape=(len(text),), payload_bytes=len(text))
    return head, np.frombuffer(text, np.uint8)


def filled(value: float, *shape: int) -> np.ndarray[Any, Any]:
    return np.full(shape, value, np.float32)


def take(endpoint: Endpoint, timeout_s: float = 5.0) -> Delivery:
    found = endpoint.receive(timeout_s)
    assert isinstance(found, Delivery), found
    return found


def copied(endpoint: Endpoint, timeout_s: float = 5.0) -> np.ndarray[Any, Any]:
    delivery = take(endpoint, timeout_s)
    assert delivery.array is not None
    array = delivery.array.copy()
    endpoint.release(delivery)
    return array


TEXTS = (b"{}", b"", b"ab" * 1_500_000)


class Announced:
    """Addresses as workers tell them."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self._changed = threading.Condition()

    def by(self, name: str) -> Callable[[str], None]:
        def announce(address: str) -> None:
            with self._changed:
                self.addresses[name] = address
                self._changed.notify_all()

        return announce

    def wait(self, count: int) -> dict[str, str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.addresses) >= count, 10)
        return dict(self.addresses)


@contextmanager
def over(name: str, what: Program) -> Iterator[str]:
    """The transport as it is given to every party; one that shapes links has a millisecond on every edge."""
    with tempfile.TemporaryDirectory(prefix="shoal-") as scratch:
        ways = {edge.name: (Hop(f"{edge.source}>{edge.target}", 1e9, 0.001),) for edge in what.edges}
        yield f"{name},links={write_links(ways, Path(scratch))}" if name.startswith("shaped") else name


def transports(full: str, what: Program) -> dict[str, Transport]:
    """Every party's transport: one for all, unless each needs an identity of its own."""
    if "@" not in full:
        return dict.fromkeys(what.parties, catalog.make("wire/transports", full))
    return {party: catalog.make("wire/transports", own(full, party)) for party in what.parties}


@contextmanager
def connected(name: str, what: Program) -> Iterator[dict[str, Endpoint]]:
    """The endpoints of all parties, all in this process."""
    announced = Announced()
    with over(name, what) as full, ThreadPoolExecutor(8) as pool:
        ways = transports(full, what)
        units = {unit: pool.submit(ways[unit].worker, unit, what, "", announced.by(unit)) for unit in what.units}
        ends = {CLIENT: ways[CLIENT].client(what, announced.wait(len(units)))}
        ends |= {unit: future.result(10) for unit, future in units.items()}
    try:
        yield ends
    finally:
        for end in ends.values():
            end.close()


@pytest.mark.parametrize("name", NAMES)
def test_messages_of_an_edge_arrive_in_order_and_whole(name: str) -> None:
    with connected(name, CHAIN) as ends:
        for item in range(40):
            array = filled(item, 4)
            ends[CLIENT].send(header(array, 0, item), array)
            array[:] = -1  # the caller may use its array again
            if item % 4 == 3:
                for expected in range(item - 3, item + 1):
                    delivery = take(ends[A])
                    assert (delivery.peer, delivery.header.item) == (CLIENT, expected)
                    assert delivery.array is not None
                    assert delivery.array.tolist() == [expected] * 4
                    ends[A].release(delivery)
        assert ends[CLIENT].sent_bytes == ends[A].received_bytes == 40 * 16
        assert ends[B].received_bytes == ends[A].sent_bytes == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_window_of_large_messages_goes_off_without_a_reader(name: str) -> None:
    what = program((CLIENT, A), shape=(2_500_000,), buffer=6)
    with connected(name, what) as ends, ThreadPoolExecutor(1) as pool:
        big = np.arange(2_500_000, dtype=np.float32)

        def send_all() -> None:
            for item in range(6):
                ends[CLIENT].send(header(big, 0, item), big)

        pool.submit(send_all).result(10)
        for item in range(6):
            delivery = take(ends[A])
            assert delivery.header.item == item
            assert np.array_equal(delivery.array, big)  # held, not released, until all are there


@pytest.mark.parametrize("name", NAMES)
def test_a_send_beyond_the_buffer_waits_for_a_release(name: str) -> None:
    what = program((CLIENT, A), shape=(500_000,), buffer=2)
    array = filled(1, 500_000)
    with connected(name, what) as ends, ThreadPoolExecutor(1) as pool:
        many = 40  # 80 MB: more than slots and kernel buffers hold together

        def send_all() -> None:
            for item in range(many):
                ends[CLIENT].send(header(array, 0, item), array)

        sending = pool.submit(send_all)
        time.sleep(0.2)
        assert not sending.done()
        assert [copied(ends[A])[0] for _ in range(many)] == [1] * many
        sending.result(10)


@pytest.mark.parametrize("name", NAMES)
def test_empty_messages_keep_their_place_and_need_no_release(name: str) -> None:
    with connected(name, CHAIN) as ends:
        array = filled(1, 4)
        for turn in range(10):
            ends[CLIENT].send(header(None, 0, 2 * turn), None)
            ends[CLIENT].send(header(array, 0, 2 * turn + 1), array)
            first, second = take(ends[A]), take(ends[A])
            assert (first.header.item, first.header.empty, first.array) == (2 * turn, True, None)
            assert (second.header.item, second.header.empty) == (2 * turn + 1, False)
            ends[A].release(second)


@pytest.mark.parametrize("name", NAMES)
def test_control_messages_go_both_ways_at_any_length(name: str) -> None:
    def echo(end: Endpoint) -> None:
        for _ in TEXTS:
            end.send(*control(copied(end).tobytes()[::-1]), peer=CLIENT)
        assert end.receive(5) == Left(CLIENT, "closed its connection")

    with connected(name, CHAIN) as ends, ThreadPoolExecutor(1) as pool:
        answering = pool.submit(echo, ends[B])
        for text in TEXTS:
            ends[CLIENT].send(*control(text), peer=B)
            delivery = take(ends[CLIENT])
            assert delivery.header.control
            assert delivery.peer == B
            assert delivery.array is not None
            assert delivery.array.tobytes() == text[::-1]
            ends[CLIENT].release(delivery)
        assert ends[CLIENT].sent_bytes == ends[CLIENT].received_bytes == 0
        ends[CLIENT].close()
        answering.result(10)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_below_the_bound_and_of_length_zero_arrive(name: str) -> None:
    what = program((CLIENT, A), shape=("n", 3))
    with connected(name, what) as ends:
        for rows in (0, 1, 7, 1000):
            array = np.random.default_rng(rows).random((rows, 3), np.float32)
            ends[CLIENT].send(header(array), array)
            assert np.array_equal(copied(ends[A]), array)
            assert ends[CLIENT].buffer(0, "float32", (rows, 3)) is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_shape_above_the_bound_or_a_wrong_length_is_refused_by_the_sender(name: str) -> None:
    with connected(name, CHAIN) as ends:
        with pytest.raises(WireError, match="does not allow"):
            ends[CLIENT].send(header(filled(0, 5)), filled(0, 5))
        with pytest.raises(WireError, match="not as long"):
            ends[CLIENT].send(header(filled(0, 4)), filled(0, 3))
        with pytest.raises(WireError, match="does not start here"):
            ends[CLIENT].send(header(filled(0, 4), edge=1), filled(0, 4))


@pytest.mark.parametrize("name", NAMES)
def test_a_lent_buffer_arrives_and_is_used_again(name: str) -> None:
    with connected(name, CHAIN) as ends:
        for item in range(20):
            lent = ends[CLIENT].buffer(0, "float32", (4,))
            assert lent is not None
            lent[:] = item
            ends[CLIENT].send(header(lent, 0, item), lent)
            assert copied(ends[A]).tolist() == [item] * 4


@pytest.mark.parametrize("name", ["memory", "shm", "shaped:inner=shm"])
def test_a_lent_buffer_is_not_copied(name: str) -> None:
    with connected(name, CHAIN) as ends:
        lent = ends[CLIENT].buffer(0, "float32", (4,))
        assert lent is not None
        ends[CLIENT].send(header(lent), lent)
        delivery = take(ends[A])
        lent[:] = 7
        assert delivery.array is not None
        assert delivery.array.tolist() == [7] * 4
        assert not delivery.array.flags.writeable


@pytest.mark.parametrize("name", NAMES)
def test_a_lent_buffer_comes_back_when_the_message_turns_out_empty(name: str) -> None:
    with connected(name, CHAIN) as ends:
        for item in range(20):
            lent = ends[CLIENT].buffer(0, "float32", (4,))
            assert lent is not None
            ends[CLIENT].send(header(None, 0, item), lent)
            assert take(ends[A]).array is None


@pytest.mark.parametrize("name", NAMES)
def test_many_edges_between_two_parties_released_in_any_order(name: str) -> None:
    what = program(*[(A, B), (B, A), (CLIENT, A)] * 5, shape=(64,))
    with connected(name, what) as ends:
        out = [index for index, edge in enumerate(what.edges) if edge.source == A]
        for _ in range(3):
            for item in range(4):
                for index in out:
                    ends[A].send(header(filled(index * 10 + item, 64), index, item), filled(index * 10 + item, 64))
            held = [take(ends[B]) for _ in range(4 * len(out))]
            for index in out:
                assert [d.header.item for d in held if d.header.edge == index] == [0, 1, 2, 3]
            for delivery in reversed(held):
                assert delivery.array is not None
                assert delivery.array[0] == delivery.header.edge * 10 + delivery.header.item
                ends[B].release(delivery)


@pytest.mark.parametrize("name", NAMES)
def test_both_directions_at_once_do_not_block_each_other(name: str) -> None:
    what = program((A, B), (B, A), shape=(1_000_000,))
    arrays = {A: filled(1, 1_000_000), B: filled(2, 1_000_000)}

    def talk(end: Endpoint, me: str, edge: int) -> set[float]:
        seen: set[float] = set()
        for turn in range(5):
            for item in range(4):
                end.send(header(arrays[me], edge, 4 * turn + item), arrays[me])
            seen |= {float(copied(end, 20).max()) for _ in range(4)}
        return seen

    with connected(name, what) as ends, ThreadPoolExecutor(2) as pool:
        one, two = pool.submit(talk, ends[A], A, 0), pool.submit(talk, ends[B], B, 1)
        assert (one.result(30), two.result(30)) == ({2.0}, {1.0})


@pytest.mark.parametrize("name", NAMES)
def test_receive_keeps_its_timeout_and_uses_no_processor_while_it_waits(name: str) -> None:
    with connected(name, CHAIN) as ends:
        assert ends[A].receive(0) is None
        idle = time.process_time()
        time.sleep(0.5)
        idle = time.process_time() - idle  # of beats, and of whatever else this process has running
        wall, used = time.monotonic(), time.process_time()
        assert ends[A].receive(0.5) is None
        used, wall = time.process_time() - used, time.monotonic() - wall
        assert 0.49 <= wall < 1.5
        assert used - idle < 0.02
        wall = time.monotonic()
        assert ends[A].receive(0.0102) is None
        assert time.monotonic() - wall >= 0.0102


@pytest.mark.parametrize("name", NAMES)
def test_a_peer_that_closes_is_reported_once_after_its_messages(name: str) -> None:
    with connected(name, CHAIN) as ends:
        array = filled(3, 4)
        ends[B].send(header(array, 2), array)
        ends[B].close()
        ends[B].close()
        assert copied(ends[CLIENT]).tolist() == [3] * 4
        assert ends[CLIENT].receive(5) == Left(B, "closed its connection")
        assert ends[CLIENT].receive(0.05) is None
        ends[CLIENT].send(*control(b"{}"), peer=B)  # does nothing
        left = ends[A].receive(5)
        assert isinstance(left, Left)
        assert left.peer == B
        for _ in range(20):  # nor do sends beyond the buffer wait for the dead
            ends[A].send(header(array, 1), array)
        assert ends[A].sent_bytes == 0


@pytest.mark.parametrize("name", NAMES)
def test_everything_sent_before_closing_arrives(name: str) -> None:
    what = program((CLIENT, A), shape=(2_500_000,), buffer=6)
    with connected(name, what) as ends, ThreadPoolExecutor(1) as pool:
        for item in range(6):
            ends[CLIENT].send(header(filled(item, 2_500_000), 0, item), filled(item, 2_500_000))
        closing = pool.submit(ends[CLIENT].close)
        assert [copied(ends[A])[-1] for _ in range(6)] == [0, 1, 2, 3, 4, 5]
        assert isinstance(ends[A].receive(5), Left)
        closing.result(10)


@pytest.mark.parametrize("name", NAMES)
def test_what_still_comes_takes_nothing_away_from_what_was_sent(name: str) -> None:
    what = program((CLIENT, A), (A, CLIENT), shape=(250_000,), buffer=6)
    with connected(name, what) as ends, ThreadPoolExecutor(1) as pool:
        for item in range(6):
            ends[A].send(header(filled(item, 250_000), 1, item), filled(item, 250_000))
            ends[CLIENT].send(header(filled(item, 250_000), 0, item), filled(item, 250_000))
        closing = pool.submit(ends[CLIENT].close)
        got = 0
        while isinstance(came := ends[A].receive(5), Delivery):
            assert came.header.item == got
            got += 1
            ends[A].release(came)
            ends[A].send(*control(b"{}"), peer=CLIENT)
        assert got == 6
        assert isinstance(came, Left)
        assert came.peer == CLIENT
        assert "shm" in name or came.why == "closed its connection"
        closing.result(10)


@pytest.mark.parametrize("name", NAMES)
def test_closing_leaves_no_descriptor_thread_or_file(name: str) -> None:
    def held() -> tuple[int, int, list[str]]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), threading.active_count(), sorted(os.listdir("/dev/shm"))

    with connected(name, CHAIN):
        pass
    before = held()
    for _ in range(3):
        with connected(name, CHAIN) as ends:
            ends[CLIENT].send(header(filled(1, 4)), filled(1, 4))
    assert held()[:2] == before[:2]
    assert not [file for file in held()[2] if "shoal" in file]


@pytest.mark.parametrize("name", NAMES)
def test_another_program_is_refused_and_the_right_one_still_welcome(name: str) -> None:
    right = program((CLIENT, A))
    announced = Announced()
    with over(name, right) as full, ThreadPoolExecutor(1) as pool:
        ways = transports(full, right)
        worker = pool.submit(ways[A].worker, A, right, "", announced.by(A))
        addresses = announced.wait(1)
        with pytest.raises(WireError, match="another program"):
            ways[CLIENT].client(program((CLIENT, A), shape=(5,)), addresses)
        client = ways[CLIENT].client(right, addresses)
        end = worker.result(10)
        client.send(header(filled(1, 4)), filled(1, 4))
        assert copied(end).tolist() == [1] * 4
        client.close()
        end.close()


UNIT = """
import pickle, sys
from dataclasses import replace
import shoal
from shoal import catalog
from shoal.wire import Delivery

name, unit, program = pickle.load(sys.stdin.buffer)
announce = lambda address: print(address, flush=True)
end = catalog.make("wire/transports", name).worker(unit, program, "", announce)
while isinstance(found := end.receive(None), Delivery):
    end.send(replace(found.header, edge=1), found.array)
    end.release(found)
end.close()
"""


@contextmanager
def process(name: str, what: Program) -> Iterator[tuple[Endpoint, subprocess.Popen[bytes]]]:
    """A unit in another process that sends back what it gets, and the client's endpoint."""
    environment = {**os.environ, "PYTHONPATH": str(Path(shoal.__file__).parents[1])}
    command = [sys.executable, "-c", UNIT]
    with (
        over(name, what) as full,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as child,
    ):
        try:
            assert child.stdin
            assert child.stdout
            pickle.dump((own(full, A), A, what), child.stdin)
            child.stdin.close()
            address = child.stdout.readline().decode().strip()
            end = catalog.make("wire/transports", own(full, CLIENT)).client(what, {A: address})
            yield end, child
            end.close()
        finally:
            child.kill()


@pytest.mark.parametrize("name", SOCKETS)
def test_another_process_answers_and_its_death_is_noticed_at_once(name: str) -> None:
    what = program((CLIENT, A), (A, CLIENT), shape=(2_500_000,))
    with process(name, what) as (end, child):
        big = np.random.default_rng(0).random(2_500_000, np.float32)
        for turn in range(2):
            for item in range(4):
                end.send(header(big, 0, 4 * turn + item), big)
            for item in range(4):
                delivery = take(end, 20)
                assert delivery.header.item == 4 * turn + item
                assert np.array_equal(delivery.array, big)
                end.release(delivery)
        os.kill(child.pid, signal.SIGKILL)
        began = time.monotonic()
        left = end.receive(5)
        assert isinstance(left, Left)
        assert time.monotonic() - began < 0.2
        assert left.peer == A
    assert not [file for file in Path("/dev/shm").iterdir() if "shoal" in file.name]
