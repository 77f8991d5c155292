"""Ways to get messages to another process, each answered by one byte: shoal's, plain and TLS, and two peers'."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shoal import catalog
from shoal.identity import authority
from shoal.measure.messages import UNIT, answer_messages, echo_program
from shoal.program import Header
from shoal.wire import Delivery

BURST = 4  # messages under way at a time


class Sender(Protocol):
    """One end of a way."""

    def put(self, array: np.ndarray[Any, Any]) -> None:
        """Send a message."""

    def taken(self) -> None:
        """Wait until the other end has one more."""

    def close(self) -> None:
        """End the way."""


Serve = Callable[[Path, int, Connection], None]  # in the other process: tell through the pipe where, then answer
Open = Callable[[Path, int, Any], Sender]


def fleet_in(folder: Path) -> None:
    """An authority and the two parties of every way."""
    made = authority.create(folder / "authority", "bench")
    made.identity(folder / "client", "desk", "coordinator", hosts=["127.0.0.1"])
    made.identity(folder / "unit", UNIT.partition("/")[0], "device", hosts=["127.0.0.1"])


def ways() -> dict[str, tuple[Serve, Open]]:
    """What can be tried here, by name."""
    found: dict[str, tuple[Serve, Open]] = {
        "shoal tcp, plain": (_serve_plain, _open_plain),
        "shoal tcp, TLS": (_serve_tls, _open_tls),
        "shoal tcp, TLS, beats": (_serve_beats, _open_beats),
    }
    if importlib.util.find_spec("zmq"):
        found["pyzmq tcp, plain"] = (_serve_zmq_plain, _open_zmq_plain)
        found["pyzmq tcp, CURVE"] = (_serve_zmq, _open_zmq)
    if importlib.util.find_spec("zenoh"):
        found["zenoh tcp, plain"] = (_serve_zenoh_plain, _open_zenoh_plain)
        found["zenoh, TLS both ways"] = (_serve_zenoh, _open_zenoh)
    return found


class _Shoal:
    def __init__(self, over: str, size: int, where: str) -> None:
        self._end = catalog.make("wire/transports", over).client(echo_program(size, BURST), {UNIT: where})
        self._items = 0

    def put(self, array: np.ndarray[Any, Any]) -> None:
        self._end.send(Header(0, self._items, shape=array.shape, payload_bytes=array.nbytes), array)
        self._items += 1

    def taken(self) -> None:
        found = self._end.receive(None)
        assert isinstance(found, Delivery), found
        self._end.release(found)

    def close(self) -> None:
        self._end.close()


def _serve_shoal(over: str, size: int, pipe: Connection) -> None:
    answer_messages(catalog.make("wire/transports", over).worker(UNIT, echo_program(size, BURST), "", pipe.send))


def _serve_plain(_: Path, size: int, pipe: Connection) -> None:
    _serve_shoal("tcp", size, pipe)


def _open_plain(_: Path, size: int, where: str) -> Sender:
    return _Shoal("tcp", size, where)


def _serve_tls(folder: Path, size: int, pipe: Connection) -> None:
    _serve_shoal(f"tcp:identity={folder / 'unit'}", size, pipe)


def _open_tls(folder: Path, size: int, where: str) -> Sender:
    return _Shoal(f"tcp:identity={folder / 'client'}", size, where)


def _serve_beats(folder: Path, size: int, pipe: Connection) -> None:
    _serve_shoal(f"tcp:identity={folder / 'unit'},beat_s=0.3", size, pipe)


def _open_beats(folder: Path, size: int, where: str) -> Sender:
    return _Shoal(f"tcp:identity={folder / 'client'},beat_s=0.3", size, where)


class _Zmq:
    def __init__(self, where: str, keys: tuple[bytes, ...]) -> None:
        import zmq

        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PAIR)
        if keys:
            server_public, public, secret = keys
            self._socket.curve_serverkey, self._socket.curve_publickey = server_public, public
            self._socket.curve_secretkey = secret
        self._socket.connect(where)

    def put(self, array: np.ndarray[Any, Any]) -> None:
        self._socket.send(array, copy=False)

    def taken(self) -> None:
        self._socket.recv()

    def close(self) -> None:
        self._context.destroy(0)


def _answer_zmq(pipe: Connection, *, curve: bool) -> None:
    import zmq

    context = zmq.Context()
    own = context.socket(zmq.PAIR)
    keys: tuple[bytes, ...] = ()
    if curve:
        (public, secret), mine = zmq.curve_keypair(), zmq.curve_keypair()
        own.curve_server, own.curve_publickey, own.curve_secretkey = True, public, secret
        keys = (public, *mine)
    port = own.bind_to_random_port("tcp://127.0.0.1")
    pipe.send((f"tcp://127.0.0.1:{port}", keys))
    while True:
        own.recv(copy=False)
        own.send(b"1")


def _serve_zmq_plain(_: Path, size: int, pipe: Connection) -> None:
    _answer_zmq(pipe, curve=False)


def _serve_zmq(_: Path, size: int, pipe: Connection) -> None:
    _answer_zmq(pipe, curve=True)


def _open_zmq(_: Path, size: int, where: Any) -> Sender:
    return _Zmq(*where)


_open_zmq_plain = _open_zmq


class _Zenoh:
    def __init__(self, config: Any) -> None:
        import zenoh

        self._session = zenoh.open(config)
        self._came = threading.Semaphore(0)
        self._answers = self._session.declare_subscriber("bench/back", lambda _: self._came.release())
        blocking = zenoh.CongestionControl.BLOCK
        self._there = self._session.declare_publisher("bench/there", congestion_control=blocking)
        while not self._there.matching_status.matching:
            continue

    def put(self, array: np.ndarray[Any, Any]) -> None:
        self._there.put(array.tobytes())

    def taken(self) -> None:
        self._came.acquire()

    def close(self) -> None:
        self._session.close()


def _config(folder: Path | None, party: str, where: str, *, listen: bool) -> Any:
    import zenoh

    config = zenoh.Config()
    settings: dict[str, object] = {
        "mode": "peer",
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,  # or it would find a way of its own
        "transport/shared_memory/enabled": False,  # as between machines
        "listen/endpoints": [where] if listen else [],
        "connect/endpoints": [] if listen else [where],
    }
    if folder:
        own = folder / party
        side = "listen" if listen else "connect"
        settings["transport/link/tls"] = {
            "root_ca_certificate": str(own / "authority.pem"), "enable_mtls": True, "verify_name_on_connect": False,
            f"{side}_certificate": str(own / "certificate.pem"), f"{side}_private_key": str(own / "key.pem"),
        }  # fmt: skip
    for name, value in settings.items():
        config.insert_json5(name, json.dumps(value))
    return config


def _answer_zenoh(pipe: Connection, folder: Path | None) -> None:
    import zenoh

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = f"{'tls' if folder else 'tcp'}/127.0.0.1:{port}"
    session = zenoh.open(_config(folder, "unit", where, listen=True))
    back = session.declare_publisher("bench/back", congestion_control=zenoh.CongestionControl.BLOCK)

    def took(sample: Any) -> None:
        _ = sample.payload.to_bytes()
        back.put(b"1")

    subscriber = session.declare_subscriber("bench/there", took)
    pipe.send(where)
    threading.Event().wait()
    del subscriber


def _serve_zenoh(folder: Path, size: int, pipe: Connection) -> None:
    _answer_zenoh(pipe, folder)


def _serve_zenoh_plain(_: Path, size: int, pipe: Connection) -> None:
    _answer_zenoh(pipe, None)


def _open_zenoh(folder: Path, size: int, where: str) -> Sender:
    return _Zenoh(_config(folder, "client", where, listen=False))


def _open_zenoh_plain(_: Path, size: int, where: str) -> Sender:
    return _Zenoh(_config(None, "client", where, listen=False))
