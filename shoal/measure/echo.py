"""`python -m shoal.measure.echo [HOST:PORT]`: a peer that links are measured against.

With `--over TRANSPORT` it answers messages of a transport in place of bytes of a socket.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading

from shoal import catalog
from shoal.errors import ShoalError, WireError
from shoal.measure.link import HEAD, MARK, MOST_BYTES, TIMEOUT_S, split_address
from shoal.measure.messages import UNIT, answer_messages, echo_program
from shoal.wire import Transport

DEFAULT = "0.0.0.0:7707"
CHUNK_BYTES = 1 << 20


def serve(listener: socket.socket) -> None:
    """Answer whoever connects to `listener`, each in a thread, until it is closed."""
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(link,), daemon=True).start()


def listen(address: str) -> socket.socket:
    """A socket that listens at "host:port"; port 0 takes a free one.

    Raises:
        UnitError: not host:port.
        WireError: the address is in use, or not one of this machine.
    """
    try:
        return socket.create_server(split_address(address))
    except OSError as fault:
        raise WireError(f"cannot listen: {fault.strerror}", where=address) from fault


def _answer(link: socket.socket) -> None:
    room = bytearray(CHUNK_BYTES)
    with link:
        link.settimeout(TIMEOUT_S)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while (size := _next_size(link)) is not None and _swallow(link, size, room):
                link.sendall(b"\1")
        except OSError:
            return  # whoever asked is gone


def _next_size(link: socket.socket) -> int | None:
    """The length of the next request; None at the end, or if it is no request of ours."""
    head = b""
    while len(head) < HEAD.size:
        part = link.recv(HEAD.size - len(head))
        if not part:
            return None
        head += part
    mark, size = HEAD.unpack(head)
    return size if mark == MARK and size <= MOST_BYTES else None


def _swallow(link: socket.socket, size: int, room: bytearray) -> bool:
    view = memoryview(room)
    while size:
        count = link.recv_into(view, min(size, len(room)))
        if not count:
            return False
        size -= count
    return True


def main(arguments: list[str] | None = None) -> int:
    """Serve at the address given, or the default; says where in one line of JSON."""
    parser = argparse.ArgumentParser("shoal.measure.echo", description="A peer that links are measured against.")
    parser.add_argument("address", nargs="?", default="", help=f"where it listens (default: {DEFAULT})")
    parser.add_argument("--over", help="answer messages of this transport")
    parser.add_argument("--bytes", type=int, default=1 << 20, help="the longest of them")
    parser.add_argument("--burst", type=int, default=4, help="how many may be under way")
    options = parser.parse_args(arguments)
    try:
        if options.over is None:
            listener = listen(options.address or DEFAULT)
            _announce("{}:{}".format(*listener.getsockname()[:2]))
            serve(listener)
        else:
            program = echo_program(options.bytes, options.burst)
            transport: Transport = catalog.make("wire/transports", options.over)
            answer_messages(transport.worker(UNIT, program, options.address, _announce))
    except ShoalError as fault:
        sys.stderr.write(f"error: {fault.message}\n")
        return fault.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _announce(address: str) -> None:
    sys.stdout.write(json.dumps({"listening": address}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
