"""One process's port into the pool: it writes into memory of its own, and reads tensors that only the server writes."""

from __future__ import annotations

import mmap
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.errors import InputError, WireError, WorkerDied
from shoal.wire.pool.values import DONE, KINDS, LATE, LEFT, REPLY, WAIT, WRITE, Layout, Request, pages

TEXT_BYTES = 1 << 16
GRACE_S = 10.0  # that the server may take beyond its own patience
Array = NDArray[Any]


class Absent(WorkerDied):
    """Ports that are waited for have left, or do not write in time."""

    def __init__(self, why: str, ports: frozenset[int], *, left: bool) -> None:
        super().__init__(why)
        self.ports, self.left = ports, left


class Port:
    """A port of a pool.

    Args:
        path: where its server listens.
        number: the port's.
        patience_s: how long writers may be waited for.

    Raises:
        WireError: nobody listens there, or the port is taken.
    """

    def __init__(self, path: Path, number: int, patience_s: float = 60.0) -> None:
        self.number, self.sent_bytes, self._patience_s = number, 0, patience_s
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._end.settimeout(patience_s + GRACE_S)
        try:
            self._end.connect(str(path))
            self._end.send(number.to_bytes(8, "little"))
            told, descriptors, _, _ = socket.recv_fds(self._end, TEXT_BYTES, 1)
        except OSError as fault:
            self._end.close()
            raise WireError(f"cannot join the pool: {fault.strerror or fault}", where=str(path)) from fault
        if not descriptors:
            self._end.close()
            raise WireError("the pool has no such port, or it is taken", where=f"port {number}")
        self.layout = codec.decode(Layout, told, str(path))
        self._tensors, self._inbox = _mapped(descriptors[0], self.layout, number)
        self._asked = b""

    @property
    def all(self) -> int:
        """All ports, as the bits of those waited for."""
        return (1 << self.layout.ports) - 1

    def write(self, tensor: int, number: int, array: Array, start: int, total: int, at: int = 0) -> None:
        """Have a flat array written to a tensor, or added; it goes out with the next write or wait.

        Args:
            tensor: its place in the layout.
            number: of the round.
            array: of one of `KINDS`.
            start: where in the tensor, in bytes.
            total: bytes of the tensor in this round.
            at: where in the port's memory it stands until the round has ended.

        Raises:
            WireError: it does not fit the port's memory.
            InputError: numbers of another kind.
        """
        if array.dtype.str not in KINDS:
            raise InputError("the pool does not know such numbers", needed=", ".join(KINDS), had=array.dtype.str)
        if at + array.nbytes > self.layout.port_bytes:
            raise WireError("more than the port holds", where=f"port {self.number}",
                            needed=f"{at + array.nbytes} bytes", had=f"{self.layout.port_bytes}")  # fmt: skip
        self._flush()
        self._inbox[at : at + array.nbytes].view(array.dtype)[:] = array
        self.sent_bytes += array.nbytes
        kind = KINDS.index(array.dtype.str)
        self._asked = Request(WRITE, kind, tensor, number, start, array.nbytes, total, at).packed()

    def wait(self, tensor: int, number: int, writers: int) -> None:
        """Until these ports have written all of the tensor.

        Raises:
            Absent: a writer has left, or does not write in time; it is named.
            WireError: something was refused.
            WorkerDied: the server has ended.
        """
        asked = Request(WAIT, 0, tensor, number, writers=writers, patience_us=round(1e6 * self._patience_s))
        self._asked += asked.packed()
        self._flush()
        while True:
            try:
                data = self._end.recv(TEXT_BYTES)
            except OSError as fault:
                raise WorkerDied(f"the pool says nothing: {fault}", where=f"port {self.number}") from fault
            if len(data) < REPLY.size:
                raise WorkerDied("the pool has ended", where=f"port {self.number}")
            kind, about, absent = REPLY.unpack_from(data)
            said = data[REPLY.size :].decode(errors="replace")
            if kind in (LEFT, LATE):
                ports = frozenset(port for port in range(absent.bit_length()) if absent >> port & 1)
                raise Absent(said, ports, left=kind == LEFT)
            if kind != DONE:
                raise WireError(said)
            if about == number:
                return

    def view(self, tensor: int, like: np.dtype[Any], start: int, size: int) -> Array:
        """Bytes of a tensor as an array that cannot be written."""
        begin = self.layout.starts[tensor] + start
        return self._tensors[begin : begin + size].view(like)

    def close(self) -> None:
        """Leave."""
        self._end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self) -> None:
        if self._asked:
            data, self._asked = self._asked, b""
            try:
                self._end.send(data)
            except OSError as fault:
                raise WorkerDied("the pool has ended", where=f"port {self.number}") from fault


def _mapped(descriptor: int, layout: Layout, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Tensors to read, and the port's own memory."""
    try:
        tensors = mmap.mmap(descriptor, layout.starts[-1], prot=mmap.PROT_READ)
        inbox = mmap.mmap(descriptor, pages(layout.port_bytes), offset=layout.inbox(number))
    finally:
        os.close(descriptor)
    return np.frombuffer(tensors, np.uint8), np.frombuffer(inbox, np.uint8)
