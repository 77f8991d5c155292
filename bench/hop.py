"""Added latency of one hop: a tensor to another process and back over shm, tcp and a bare socket, side by side.

    python bench/hop.py [--kib 1024] [--rounds 9] [--hops 100]

Half of a round trip, in ms: the median over rounds in which all ways take turns. The bare socket copies what
the transport copies: into the kernel, out of it into a preallocated buffer.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.program import CLIENT, Edge, Header, Program, Route, TensorSpec
from shoal.wire import Delivery, Endpoint

UNIT = "echo"


def program(size: int) -> Program:
    """One unit that sends back what it gets."""
    spec = TensorSpec("uint8", (size,))
    there = Edge("there", CLIENT, UNIT, "x", "x", spec, 4)
    back = Edge("back", UNIT, CLIENT, "y", "y", spec, 4)
    return Program("hop", (UNIT,), (there, back), (), (Route("main", (), (), ()),), 4, {})


def echo_transport(name: str, size: int, pipe: Connection) -> None:
    """Write each answer where it leaves from, as an engine does."""
    end = catalog.make("wire/transports", name).worker(UNIT, program(size), "", pipe.send)
    while isinstance(found := end.receive(None), Delivery):
        lent = end.buffer(1, "uint8", (size,))
        np.copyto(lent, found.array)
        end.release(found)
        end.send(replace(found.header, edge=1), lent)
    end.close()


def echo_socket(_: str, size: int, pipe: Connection) -> None:
    """The same with nothing but a socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pipe.send(listener.getsockname())
        sock, _ = listener.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    taken, answer = bytearray(size), bytearray(size)
    while sock.recv_into(taken, 0, socket.MSG_WAITALL):
        answer[:] = taken
        sock.sendall(answer)
    sock.close()


def hop_transport(end: Endpoint, array: NDArray[np.uint8]) -> None:
    """There and back over a transport."""
    end.send(Header(0, 0, shape=array.shape, payload_bytes=array.nbytes), array)
    found = end.receive(None)
    assert isinstance(found, Delivery)
    end.release(found)


def hop_socket(sock: socket.socket, array: NDArray[np.uint8], taken: bytearray) -> None:
    """There and back over a bare socket."""
    sock.sendall(array)
    sock.recv_into(taken, 0, socket.MSG_WAITALL)


def timed(hop: Callable[[], None], hops: int) -> float:
    """Median of half a round trip, in seconds."""
    times = []
    for _ in range(hops):
        began = time.perf_counter()
        hop()
        times.append((time.perf_counter() - began) / 2)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="latency of one hop")
    parser.add_argument("--kib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--hops", type=int, default=100)
    options = parser.parse_args()
    size = options.kib * 1024
    array = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    context = multiprocessing.get_context("spawn")
    ways: dict[str, Callable[[], None]] = {}
    closers: list[Callable[[], None]] = []
    for name, target in (("shm", echo_transport), ("tcp", echo_transport), ("bare socket", echo_socket)):
        ours, theirs = context.Pipe()
        context.Process(target=target, args=(name, size, theirs), daemon=True).start()
        where = ours.recv()
        if target is echo_socket:
            sock = socket.create_connection(where)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ways[name] = partial(hop_socket, sock, array, bytearray(size))
            closers.append(sock.close)
        else:
            end = catalog.make("wire/transports", name).client(program(size), {UNIT: where})
            ways[name] = partial(hop_transport, end, array)
            closers.append(end.close)
    rounds = [{name: timed(hop, options.hops) for name, hop in ways.items()} for _ in range(options.rounds)]
    for close in closers:
        close()
    for name in ways:
        hop_ms = statistics.median(one[name] for one in rounds) * 1e3
        ratio = statistics.median(one[name] / one["bare socket"] for one in rounds)
        print(f"{name:12} {options.kib} KiB  {hop_ms:7.3f} ms  {ratio:5.2f} x bare socket")


if __name__ == "__main__":
    main()
