"""The handshake of transports with sockets: strangers, impostors, outlaws; and addresses that do not work."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, WireError
from shoal.program import CLIENT, Edge, Flag, Header, Program, Route, TensorSpec
from shoal.program.message import CONTROL_EDGE, pack
from shoal.wire import Delivery, Endpoint, Left
from shoal.wire.meeting import meet_as_worker
from shoal.wire.transports.shm import _UnixSockets
from shoal.wire.transports.tcp import TcpSockets

SOCKETS = ("shm", "tcp")
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


@pytest.mark.parametrize("name", SOCKETS)
def test_an_address_in_use_is_named(name: str) -> None:
    right = program((CLIENT, A))
    transport, announced = catalog.make("wire/transports", name), Announced()
    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(transport.worker, A, right, "", announced.by(A))
        address = announced.wait(1)[A]
        with pytest.raises(WireError, match="already in use") as caught:
            transport.worker(A, right, address, print)
        assert address in str(caught.value)
        transport.client(right, {A: address}).close()
        worker.result(10).close()


@pytest.mark.parametrize("name", SOCKETS)
def test_nobody_there_is_an_error_at_once(name: str) -> None:
    address = {"shm": "@shoal-nobody", "tcp": "127.0.0.1:1"}[name]
    with pytest.raises(WireError, match="cannot be reached") as caught:
        catalog.make("wire/transports", name).client(program((CLIENT, A)), {A: address})
    assert A in str(caught.value)


@pytest.mark.parametrize("name", SOCKETS)
def test_a_worker_gives_up_when_no_client_comes(name: str) -> None:
    transport = catalog.make("wire/transports", f"{name}:wait_s=0.1")
    with pytest.raises(WireError, match="not everyone is there"):
        transport.worker(A, program((CLIENT, A)), "", lambda _: None)


def dial(name: str, address: str) -> socket.socket:
    if name == "shm":
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect("\0" + address[1:])
        except OSError:
            sock.close()
            raise
        return sock
    host, port = address.split(":")
    return socket.create_connection((host, int(port)))


def hello(what: Program, text: bytes, protocol: int | None = None) -> bytes:
    return pack(control(text)[0], what.hash, protocol or what.protocol) + text


STRANGERS = {
    "not a shoal message": lambda what: b"GET / HTTP/1.1\r\n\r\n",
    "another protocol": lambda what: hello(what, b"{}", 99),
    "makes no sense": lambda what: hello(what, b"\xff\xfe{"),
    "nobody expects": lambda what: hello(what, b'{"kind":"hello","party":"evil"}'),
    "whom nobody": lambda what: hello(what, b'{"kind":"ready","party":"client"}'),
    "did not introduce itself": lambda what: pack(
        replace(control(b"")[0], payload_bytes=5000), what.hash, what.protocol
    ),
    "too long": lambda what: pack(replace(control(b"")[0], payload_bytes=1 << 60), what.hash, what.protocol),
    "ended the handshake": lambda what: b"SH",
}


@pytest.mark.parametrize("name", SOCKETS)
def test_strangers_are_refused_and_logged_and_hold_nobody_up(name: str, caplog: pytest.LogCaptureFixture) -> None:
    right = program((CLIENT, A))
    transport, announced = catalog.make("wire/transports", name), Announced()
    with ThreadPoolExecutor(1) as pool, caplog.at_level(logging.WARNING, "shoal.wire"):
        worker = pool.submit(transport.worker, A, right, "", announced.by(A))
        address = announced.wait(1)[A]
        silent = dial(name, address)
        for why, make in STRANGERS.items():
            with dial(name, address) as stranger:
                stranger.sendall(make(right))
                if why == "ended the handshake":
                    stranger.shutdown(socket.SHUT_WR)
                stranger.settimeout(5)
                with suppress(ConnectionResetError):
                    while stranger.recv(4096):
                        pass  # until it is closed
            assert why in caplog.messages[-1]
        began = time.monotonic()
        client = transport.client(right, {A: address})
        end = worker.result(10)
        assert time.monotonic() - began < 2
        with pytest.raises(OSError, match="refused"):
            dial(name, address)
        client.send(header(filled(1, 4)), filled(1, 4))
        assert copied(end).tolist() == [1] * 4
        client.close()
        end.close()
        silent.close()


@pytest.mark.parametrize("name", SOCKETS)
def test_a_party_that_is_connected_already_is_refused(name: str) -> None:
    transport, announced = catalog.make("wire/transports", name), Announced()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(transport.worker, A, CHAIN, "", announced.by(A))
        address = announced.wait(1)[A]
        with dial(name, address) as client:
            client.sendall(hello(CHAIN, b'{"kind":"hello","party":"client"}'))
            client.recv(4096)
            with pytest.raises(WireError, match="already connected"):
                transport.client(CHAIN, {A: address, B: address})
        with pytest.raises(WireError, match="ended the handshake"):
            first.result(10)


@dataclass
class Impostor:
    """A unit that shakes hands properly and then breaks the rules."""

    endpoint: Endpoint
    sock: socket.socket
    what: Program


@contextmanager
def impostor(name: str, what: Program) -> Iterator[Impostor]:
    sockets = _UnixSockets(A, what) if name == "shm" else TcpSockets(False)
    announced = Announced()
    with ThreadPoolExecutor(1) as pool:
        links = pool.submit(meet_as_worker, A, what, sockets, "", announced.by(A), wait_s=5)
        endpoint = catalog.make("wire/transports", name).client(what, announced.wait(1))
        link = links.result(10)[CLIENT]
    try:
        yield Impostor(endpoint, link.sock, what)
    finally:
        endpoint.close()
        link.sock.close()
        if link.descriptor >= 0:
            os.close(link.descriptor)


def frame(name: str, head: bytes) -> bytes:
    return (0).to_bytes(4, "little") + head if name == "shm" else head


OUTLAWS = {
    "not a shoal message": lambda what: b"garbage" * 100,
    "another program": lambda what: pack(Header(0, 0), bytes(16), what.protocol),
    "does not have": lambda what: pack(Header(77, 0), what.hash, what.protocol),
    "does not lead": lambda what: pack(header(filled(1, 4)), what.hash, what.protocol),
    "does not allow": lambda what: pack(header(filled(1, 9), 1), what.hash, what.protocol),
    "too long": lambda what: pack(replace(control(b"")[0], payload_bytes=1 << 40), what.hash, what.protocol),
    "middle of a message": lambda what: pack(header(filled(1, 4), 1), what.hash, what.protocol)[:50],
}


@pytest.mark.parametrize("why", OUTLAWS)
@pytest.mark.parametrize("name", SOCKETS)
def test_garbage_after_the_handshake_ends_that_connection(name: str, why: str) -> None:
    what = program((CLIENT, A), (A, CLIENT))
    with impostor(name, what) as bad:
        bad.sock.setblocking(True)
        bad.sock.sendall(frame(name, OUTLAWS[why](what)))
        if why == "middle of a message":
            bad.sock.shutdown(socket.SHUT_WR)
        left = bad.endpoint.receive(5)
        assert isinstance(left, Left)
        assert left.peer == A
        assert why in left.why
        assert bad.endpoint.receive(0.02) is None


def test_a_slot_that_holds_nothing_is_garbage() -> None:
    what = program((CLIENT, A), (A, CLIENT))
    for slot in (0, 99, -5):
        with impostor("shm", what) as bad:
            bad.sock.sendall(slot.to_bytes(4, "little", signed=True) + pack(header(filled(1, 4), 1), what.hash, 1))
            left = bad.endpoint.receive(5)
            assert isinstance(left, Left)
            assert "holds no message" in left.why


def test_more_than_the_buffer_holds_is_refused_after_a_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.wire.stream.GRACE_S", 0.1)
    what = program((CLIENT, A), (A, CLIENT), buffer=2)
    with impostor("tcp", what) as bad:
        for _ in range(4):
            bad.sock.sendall(pack(header(None, 1), what.hash, what.protocol))
        time.sleep(0.3)
        found = [bad.endpoint.receive(5) for _ in range(4)]
        assert isinstance(found[3], Left)
        assert "more on edge 'e1' than its buffer holds" in found[3].why


def test_beyond_this_host_only_if_asked_for() -> None:
    for address in ("0.0.0.0:0", "192.0.2.1:5000"):
        with pytest.raises(InputError, match="beyond this host"):
            catalog.make("wire/transports", "tcp").worker(A, program((CLIENT, A)), address, print)
        with pytest.raises(InputError, match="beyond this host"):
            catalog.make("wire/transports", "tcp").client(program((CLIENT, A)), {A: address})
    transport = catalog.make("wire/transports", "tcp:plain=true,wait_s=0.05")
    with pytest.raises(WireError, match="not everyone"):
        transport.worker(A, program((CLIENT, A)), "0.0.0.0:0", lambda _: None)


@pytest.mark.parametrize("address", ["nonsense", "host:port", "127.0.0.1:99999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="is not an address"):
        catalog.make("wire/transports", "tcp").client(program((CLIENT, A)), {A: address})
