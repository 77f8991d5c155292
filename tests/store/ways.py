"""Offers of records for tests: in a process of its own, and over a way that spoils what comes back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

Spoil = Callable[[bytes], bytes | None]  # what comes → what is handed on; None: the connection is cut


@contextmanager
def worker(
    what: Path, *more: str, module: Sequence[str] = ("shoal.worker",), before: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A real worker that offers records, and its address; it is killed at the end."""
    command = [*before, sys.executable, "-m", *module, str(what), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["listening"]
        finally:
            process.kill()


class Way:
    """A TCP way to an address. `spoil` may be set at any time; it sees the answers of all connections.

    While `clear` is not set, nothing more is taken from those who send.
    """

    def __init__(self, to: str) -> None:
        host, _, port = to.rpartition(":")
        self._to = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.spoil: Spoil = lambda data: data
        self.trickle_s = 0.0  # between two bytes of what comes back
        self.clear = threading.Event()
        self.clear.set()
        self.connections = 0
        self._ends = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.clear.set()
        for each in self._ends:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # of the end
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(self._to)
                except OSError:  # nobody is there any more
                    near.close()
                    continue
                self.connections += 1
                self._ends += [near, far]
                for source, target, back in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._pump, args=(source, target, back), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 14):
                if not back:
                    self.clear.wait()
                passed = self.spoil(data) if back else data
                if passed is None:
                    break
                for part in (bytes([each]) for each in passed) if back and self.trickle_s else (passed,):
                    target.sendall(part)
                    time.sleep(self.trickle_s)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def way(to: str) -> Iterator[Way]:
    found = Way(to)
    try:
        yield found
    finally:
        found.close()


def cut_after(count: int) -> Spoil:
    """So many bytes get through, and never one more."""
    left = count

    def spoil(data: bytes) -> bytes | None:
        nonlocal left
        passed, left = data[:left], left - len(data[:left])
        return passed or None

    return spoil


def flipped(place: int) -> Spoil:
    """A bit of this byte from now is another."""
    seen = 0

    def spoil(data: bytes) -> bytes | None:
        nonlocal seen
        at, seen = place - seen, seen + len(data)
        return data if not 0 <= at < len(data) else data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]

    return spoil
