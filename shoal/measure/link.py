"""What the way to another machine does, asked of the echo server there.

A request is eight bytes of mark and length, then so many bytes; the answer is one byte once all have come.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass

from shoal.errors import UnitError, WireError
from shoal.measure.clocked import spread

HEAD = struct.Struct("<4sI")
MARK = b"SHEC"
MOST_BYTES = 256 << 20  # of one request; nothing is kept, this only bounds the time
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class LinkFigures:
    """What a link does, one way."""

    latency_s: float
    bandwidth_bytes_per_s: float


def measure_link(peer: str, payload_bytes: int = 8 << 20, repeats: int = 20) -> LinkFigures:
    """Latency and bandwidth of TCP to the echo server at `peer` ("host:port").

    Latency is half the median round trip of one byte; bandwidth is that of `payload_bytes` at once.

    Raises:
        UnitError: `peer` is not host:port.
        WireError: nobody answers there, or not in our way.
    """
    address = split_address(peer)
    try:
        with socket.create_connection(address, timeout=TIMEOUT_S) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _ask(link, b"\0", peer)
            round_trip_s = spread([_ask(link, b"\0", peer) for _ in range(repeats)]).median_s
            payload = bytes(payload_bytes)
            _ask(link, payload, peer)
            took_s = spread([_ask(link, payload, peer) for _ in range(5)]).median_s
    except OSError as fault:
        hint = f"start one there: python -m shoal.measure.echo 0.0.0.0:{address[1]}"
        raise WireError(f"no echo server answers: {fault}", where=peer, hint=hint) from fault
    return LinkFigures(round_trip_s / 2, payload_bytes / max(took_s - round_trip_s, took_s / 2))


def split_address(text: str) -> tuple[str, int]:
    """Host and port of "host:port".

    Raises:
        UnitError: it is not that.
    """
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit() and int(port) < 1 << 16):
        raise UnitError(f"'{text}' is not an address", needed="host:port")
    return host.strip("[]"), int(port)


def _ask(link: socket.socket, payload: bytes, peer: str) -> float:
    start_s = time.perf_counter()
    link.sendall(HEAD.pack(MARK, len(payload)))
    link.sendall(payload)
    if link.recv(1) != b"\1":
        raise WireError("answers, but is no echo server", where=peer)
    return time.perf_counter() - start_s
