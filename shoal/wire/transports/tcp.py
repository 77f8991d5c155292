"""Parties on one host or several, connected over TCP."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shoal.errors import InputError, WireError
from shoal.program import CLIENT, Program
from shoal.wire.meeting import meet_as_client, meet_as_worker
from shoal.wire.stream import StreamEndpoint
from shoal.wire.talk import HELLO_S

_DEFAULT_HOST = "127.0.0.1"
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}  # s, s, probes: a host that vanished


@dataclass(frozen=True)
class Tcp:
    """Plain TCP, addresses "host:port"; beyond this host only if asked for."""

    plain: bool = False  # allow unencrypted, unauthenticated connections with other hosts
    wait_s: float | None = None  # how long a worker waits for the client, in seconds; none: for ever

    def worker(self, name: str, program: Program, address: str, announce: Callable[[str], None]) -> StreamEndpoint:
        """The endpoint of the unit `name`, listening at `address` ("" = this host, any free port).

        Raises:
            InputError: not an address, or one beyond this host without `plain`.
            WireError: the address is in use, or a peer cannot be reached.
        """
        links = meet_as_worker(name, program, _TcpSockets(self.plain), address, announce, wait_s=self.wait_s)
        return StreamEndpoint(name, program, links)

    def client(self, program: Program, addresses: Mapping[str, str]) -> StreamEndpoint:
        """The coordinator's endpoint.

        Raises:
            InputError: not an address, or one beyond this host without `plain`.
            WireError: a unit cannot be reached, or runs another program or protocol.
        """
        links = meet_as_client(program, _TcpSockets(self.plain), addresses)
        return StreamEndpoint(CLIENT, program, links)


@dataclass(frozen=True)
class _TcpSockets:
    """Makes and accepts the connections; a TLS context would wrap them here and in `stream.Stream`."""

    plain: bool

    def listen(self, address: str) -> tuple[socket.socket, str]:
        family, where = self._resolve(address or f"{_DEFAULT_HOST}:0")
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(where)
            sock.listen(128)
        except OSError as fault:
            sock.close()
            hint = "choose another port, or 0 for a free one" if fault.errno == errno.EADDRINUSE else None
            raise WireError(f"cannot listen at {address}: {(fault.strerror or '').lower()}", hint=hint) from fault
        return sock, _text(sock.getsockname())

    def dial(self, address: str) -> socket.socket:
        family, where = self._resolve(address)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(HELLO_S)
            sock.connect(where)
            self.admit(sock)
        except OSError:
            sock.close()
            raise
        return sock

    def admit(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            if hasattr(socket, option):  # not on every system
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def offer(self, peer: str) -> int:
        return -1

    def receive(self, sock: socket.socket, size: int) -> tuple[bytes, int]:
        return sock.recv(size), -1

    def _resolve(self, address: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
        host, port = _split(address)
        try:
            family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except OSError as fault:
            raise InputError(f"cannot find the host '{host}'", where=address) from fault
        ip = str(where[0])
        if not self.plain and not ipaddress.ip_address(ip.partition("%")[0]).is_loopback:
            raise InputError(
                "lies beyond this host, and the connection would be neither encrypted nor authenticated",
                where=address, hint="allow it on a network you trust: tcp:plain=true",
            )  # fmt: skip
        return family, (ip, port)


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 0xFFFF:
        raise InputError(f"'{address}' is not an address", hint="write it host:port")
    return host.removeprefix("[").removesuffix("]") or _DEFAULT_HOST, int(port)


def _text(where: tuple[str, int]) -> str:
    host, port = where[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
