"""The bytes of one connection during a run, plain or encrypted, and how long it has been silent."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Sequence

from shoal.wire.secure import TlsSocket

INLINE_S, PAUSE_MS = 0.001, 1  # how long a send may keep its caller from work
# Where Linux's tcp_info has them: ms ago twice, a bit that the sender itself was the limit, bytes per second.
_LAST_SENT, _LAST_RECEIVED, _LIMITED, _RATE = 44, 52, 7, 160
_MS, _BYTES = struct.Struct("=I"), struct.Struct("=Q")


class Stream:
    """The only place that touches the socket during a run."""

    def __init__(self, sock: socket.socket | TlsSocket) -> None:
        sock.setblocking(True)
        self._sock = sock
        self._writable, self._readable = select.poll(), select.poll()
        self._writable.register(sock, select.POLLOUT)
        self._readable.register(sock, select.POLLIN)

    @property
    def unsent(self) -> bool:
        """Whether something that `write_now` took has not gone; `write` sends it."""
        return isinstance(self._sock, TlsSocket) and self._sock.unsent

    def read_into(self, memory: memoryview) -> int:
        """Fill `memory`; fewer bytes mean that the peer closed. Waits."""
        filled = 0
        while filled < len(memory):
            count = self._sock.recv_into(memory[filled:], 0, socket.MSG_WAITALL)
            if not count:
                break
            filled += count
        return filled

    def write_now(self, parts: list[memoryview]) -> int:
        """Hand over as many bytes as the kernel takes without a stop; how many that were.

        A quick link takes all of a large message this way, a part at a time, which spares the copy and the change
        of threads. After INLINE_S, or a pause of PAUSE_MS, the rest is the writer's: the owner has work to do.
        """
        taken, until_s = 0, time.monotonic() + INLINE_S
        while parts or self.unsent:
            try:
                count = self._sock.sendmsg(parts, (), socket.MSG_DONTWAIT)
            except BlockingIOError:
                count = 0
            taken += count
            parts = after(parts, count)
            if (parts or self.unsent) and (time.monotonic() > until_s or not self._writable.poll(PAUSE_MS)):
                break
        return taken

    def write(self, parts: Sequence[memoryview]) -> None:
        """Hand over all of `parts`, after what was left unsent. Waits."""
        if isinstance(self._sock, TlsSocket):
            self._sock.flush()
        for part in parts:
            self._sock.sendall(part)

    def silent_s(self) -> float:
        """Seconds since a byte came, as the kernel knows it: 0 while there is something we have not read."""
        return 0.0 if self._readable.poll(0) else self._ago_s(_LAST_RECEIVED)

    def idle_s(self) -> float:
        """Seconds since the kernel sent a byte."""
        return self._ago_s(_LAST_SENT)

    def rate_bytes_per_s(self) -> float:
        """The delivery rate of the latest bytes that the link, not the sender, held up, as the kernel measured it.

        0: there were none, or this kernel does not measure it.
        """
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RATE + _BYTES.size)
        if len(info) < _RATE + _BYTES.size or info[_LIMITED] & 1:
            return 0.0
        return float(_BYTES.unpack_from(info, _RATE)[0])

    def finish(self) -> None:
        """Tell the peer that nothing follows; it can still be read."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:  # the peer was quicker
            return

    def end(self) -> None:
        """End both directions; who reads or writes wakes up."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # the peer was quicker
            return

    def close(self) -> None:
        """Free the socket."""
        self._sock.close()

    def _ago_s(self, place: int) -> float:
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, place + _MS.size)
        return float(_MS.unpack_from(info, place)[0]) / 1e3


def after(parts: list[memoryview], taken: int) -> list[memoryview]:
    """What is left of `parts` behind the first `taken` bytes."""
    left = []
    for part in parts:
        if taken < len(part):
            left.append(part[taken:])
        taken = max(0, taken - len(part))
    return left
