"""TLS over a stream socket that two threads use at once: one reads while another writes.

OpenSSL's connection must not be used by two threads at a time, and a blocking TLS socket would be. So OpenSSL
works in memory only (an SSLObject between two MemoryBIOs) behind a lock that is never held while the network is
waited for. What a peer can make us keep is bounded: ciphertext is read only when a read needs it, and no more is
encrypted while what was encrypted before has not gone.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Sequence

from shoal.identity import Identity, Party, check_peer
from shoal.wire.refusals import refusal

CHUNK_BYTES = 1 << 16  # encrypted and handed to the kernel at a time
_READ_BYTES = 1 << 16  # ciphertext taken from the kernel at a time
_SHAKE_BYTES = 1 << 14  # the same before the peer is known


class TlsSocket:
    """The methods of a socket that the wire uses, encrypted and authenticated.

    The handshake goes on inside the first reads and writes, which wait or not as the socket does.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, identity: Identity, *, called: bool) -> None:
        """Take `sock` over; `called`: the peer dialed."""
        self._sock, self._identity = sock, identity
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=called)
        self._lock = threading.Lock()  # of the SSL object and both its ends
        self._turn = threading.Lock()  # of writing: ciphertext goes out in the order it was made
        self._rest = memoryview(b"")  # ciphertext the kernel did not take yet
        self._buffer = memoryview(bytearray(_SHAKE_BYTES))
        self._shaken = False

    @property
    def unsent(self) -> bool:
        """Whether `flush` has something to do: the kernel did not take all that `sendmsg` did."""
        return len(self._rest) > 0

    def party(self) -> Party:
        """Who the peer is; the handshake must be done.

        Raises:
            WireError: nobody of our fleet, or revoked.
        """
        with self._lock:
            return check_peer(self._identity, self._tls)

    def shake(self) -> None:
        """Finish the handshake. Waits, or raises BlockingIOError or TimeoutError, as the socket does.

        Raises:
            WireError: refused, by us or by the peer.
        """
        while not self._shaken:
            with self._turn:
                try:
                    with self._lock:
                        self._tls.do_handshake()
                    self._shaken = True
                    self._buffer = memoryview(bytearray(_READ_BYTES))
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as fault:
                    self._say_alert()
                    raise refusal(fault, self._identity) from fault
                self._drain()
            if not self._shaken:
                self._pull()

    def recv(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        data = bytearray(size)
        return bytes(data[: self._read(memoryview(data))])

    def recv_into(self, memory: memoryview, size: int = 0, flags: int = 0) -> int:
        """Fill `memory`; fewer bytes mean that the peer closed (so as with MSG_WAITALL, whatever the flags)."""
        filled, wanted = 0, len(memory)
        while filled < wanted:
            count = self._read(memory[filled:])
            if not count:
                break
            filled += count
        return filled

    def sendmsg(self, parts: Sequence[memoryview], ancillary: Sequence[object] = (), flags: int = 0) -> int:
        """Encrypt a chunk of `parts` and give the kernel what it takes at once; how many bytes were encrypted.

        Raises:
            BlockingIOError: the kernel has not even taken what came before.
        """
        with self._turn:
            if not self._push():
                raise BlockingIOError
            taken = 0
            for part in parts:
                if taken < CHUNK_BYTES:
                    taken += self._encrypt(part[: CHUNK_BYTES - taken])
            self._push()
            return taken

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all of `data`. Waits."""
        self.shake()
        view = memoryview(data).cast("B")
        with self._turn:
            self._drain()
            for start in range(0, len(view), CHUNK_BYTES):
                self._encrypt(view[start : start + CHUNK_BYTES])
                self._drain()

    def flush(self) -> None:
        """Send what `sendmsg` could not. Waits."""
        with self._turn:
            self._drain()

    def fileno(self) -> int:
        """The descriptor of the socket; what was read and not asked for yet does not make it readable."""
        return self._sock.fileno()

    def discard(self) -> int:
        """Take what came from the kernel and throw it away; how many bytes that were, none at the end."""
        return self._sock.recv_into(self._buffer)

    def setblocking(self, flag: bool) -> None:
        """Let reads and writes wait for ever, or never."""
        self._sock.setblocking(flag)

    def settimeout(self, timeout_s: float | None) -> None:
        """Let reads and writes wait that long."""
        self._sock.settimeout(timeout_s)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """An option of the socket."""
        return self._sock.getsockopt(level, option, size)

    def shutdown(self, how: int) -> None:
        """End one direction or both; who waits wakes up."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Free the socket."""
        self._sock.close()

    def _read(self, memory: memoryview) -> int:
        self.shake()
        while True:
            try:
                with self._lock:
                    return self._tls.read(len(memory), memory)  # type: ignore[return-value]  # a count: it gets a buffer
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return 0
            except ssl.SSLError as fault:
                raise refusal(fault, self._identity) from fault
            self._pull()

    def _pull(self) -> None:
        """Take ciphertext from the kernel."""
        count = self._sock.recv_into(self._buffer)
        with self._lock:
            if count:
                self._incoming.write(self._buffer[:count])
            else:
                self._incoming.write_eof()

    def _encrypt(self, data: memoryview) -> int:
        """Encrypt all of `data`, a record at a time; its length."""
        done = 0
        while done < len(data):
            with self._lock:
                done += self._tls.write(data[done:])
        return done

    def _collect(self) -> None:
        """Put new ciphertext behind what is left."""
        with self._lock:
            made = self._outgoing.read()
        if made:
            self._rest = memoryview(bytes(self._rest) + made if len(self._rest) else made)

    def _push(self) -> bool:
        """Give the kernel what it takes at once; whether that was all."""
        self._collect()
        while len(self._rest):
            try:
                self._rest = self._rest[self._sock.send(self._rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                return False
        return True

    def _drain(self) -> None:
        """Give the kernel everything, as the socket waits."""
        self._collect()
        while len(self._rest):
            self._rest = self._rest[self._sock.send(self._rest) :]

    def _say_alert(self) -> None:
        """Tell the peer why, as far as it can be told."""
        try:
            self._push()
        except OSError:
            return
