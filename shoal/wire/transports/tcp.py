"""Parties on one host or several, connected over TCP."""

from __future__ import annotations

import errno
import ipaddress
import math
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shoal.errors import InputError, WireError
from shoal.identity import Identity, contexts, load
from shoal.program import CLIENT, Program
from shoal.wire.meeting import meet_as_client, meet_as_worker
from shoal.wire.secure import TlsSocket
from shoal.wire.stream import StreamEndpoint
from shoal.wire.talk import HELLO_S, Wire

_LEAST_BEAT_S = 0.05  # below that a busy machine would look like a dead one
_DEFAULT_HOST = "127.0.0.1"
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}  # s, s, probes: a host that vanished


@dataclass(frozen=True)
class Tcp:
    """TCP, addresses "host:port". Beyond this host only with an identity (TLS both ways), or plain if asked for.

    With an identity a unit's certificate must be that of its device, and the client's a coordinator's.
    """

    plain: bool = False  # allow unencrypted, unauthenticated connections with other hosts
    wait_s: float | None = None  # how long a worker waits for the client, in seconds; none: for ever
    identity: str = ""  # a folder with certificate and key of a fleet's party: every connection is TLS
    beat_s: float = 0.0  # a sign of life on idle connections, in seconds; who misses three is gone. 0: none

    def __post_init__(self) -> None:
        if not (self.beat_s == 0 or _LEAST_BEAT_S <= self.beat_s < math.inf):
            raise InputError(
                "no interval for beats", where="tcp", needed=f"0 or at least {_LEAST_BEAT_S:g} s",
                had=f"beat_s={self.beat_s:g}",
            )  # fmt: skip
        if self.beat_s and not hasattr(socket, "TCP_INFO"):
            raise InputError("beats need a system that tells how long a connection has been silent", hint="Linux")

    def worker(self, name: str, program: Program, address: str, announce: Callable[[str], None]) -> StreamEndpoint:
        """The endpoint of the unit `name`, listening at `address` ("" = this host, any free port).

        What is announced is what the socket has: for "0.0.0.0:0" the port is the chosen one and the host still
        0.0.0.0; by what name others reach this host is for the caller to know.

        Raises:
            InputError: not an address, one beyond this host without `plain` or `identity`, or no good identity.
            WireError: the address is in use, or a peer cannot be reached.
        """
        links = meet_as_worker(name, program, self.sockets(), address, announce, wait_s=self.wait_s)
        return StreamEndpoint(name, program, links, self.beat_s)

    def client(self, program: Program, addresses: Mapping[str, str]) -> StreamEndpoint:
        """The coordinator's endpoint.

        Raises:
            InputError: not an address, one beyond this host without `plain` or `identity`, or no good identity.
            WireError: a unit cannot be reached, runs another program or protocol, or is not who it should be.
        """
        links = meet_as_client(program, self.sockets(), addresses)
        return StreamEndpoint(CLIENT, program, links, self.beat_s)

    def sockets(self) -> TcpSockets:
        """How connections are made and taken, for whoever has no program to meet about.

        Raises:
            InputError: no good identity.
        """
        if not self.identity:
            return TcpSockets(self.plain, beat_s=self.beat_s)
        own = load(Path(self.identity))
        return TcpSockets(self.plain, _Tls(own), self.beat_s)


class _Tls:
    """How this party's connections become TLS."""

    def __init__(self, own: Identity) -> None:
        self._own = own
        self._server, self._client = contexts.server(own), contexts.client(own)

    def wrap(self, sock: socket.socket, *, called: bool) -> TlsSocket:
        return TlsSocket(sock, self._server if called else self._client, self._own, called=called)

    def vouch(self, sock: Wire, party: str) -> None:
        assert isinstance(sock, TlsSocket)
        who = sock.party()
        role, name = ("coordinator", who.name) if party == CLIENT else ("device", party.partition("/")[0])
        if (who.role, who.name) != (role, name):
            needed = "a coordinator" if party == CLIENT else f"device '{name}'"
            raise WireError(f"may not be '{party}'", where=who.name, needed=needed, had=f"{who.role} '{who.name}'")


@dataclass(frozen=True)
class TcpSockets:
    """Makes and accepts the connections, TLS or plain."""

    plain: bool
    tls: _Tls | None = None
    beat_s: float = 0.0

    def listen(self, address: str) -> tuple[socket.socket, str]:
        """See `Sockets`."""
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

    def dial(self, address: str) -> Wire:
        """See `Sockets`."""
        family, where = self._resolve(address)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(HELLO_S)
            sock.connect(where)
            self._tune(sock)
            if self.tls is None:
                return sock
            secured = self.tls.wrap(sock, called=False)
            secured.shake()
        except (OSError, WireError):
            sock.close()
            raise
        return secured

    def admit(self, sock: socket.socket) -> Wire:
        """See `Sockets`."""
        self._tune(sock)
        return sock if self.tls is None else self.tls.wrap(sock, called=True)

    def vouch(self, sock: Wire, party: str) -> None:
        """See `Sockets`."""
        if self.tls is not None:
            self.tls.vouch(sock, party)

    def fellow(self, sock: Wire) -> None:
        """Raise WireError unless the peer belongs to our fleet; without an identity anybody does. Waits as the socket does."""
        if isinstance(sock, TlsSocket):
            sock.shake()
            sock.party()

    def _tune(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            if hasattr(socket, option):  # not on every system
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def offer(self, peer: str) -> int:
        """See `Sockets`."""
        return -1

    def receive(self, sock: Wire, size: int) -> tuple[bytes, int]:
        """See `Sockets`."""
        return sock.recv(size), -1

    def _resolve(self, address: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
        host, port = _split(address)
        try:
            family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except OSError as fault:
            raise InputError(f"cannot find the host '{host}'", where=address) from fault
        ip = str(where[0])
        if self.tls is None and not self.plain and not ipaddress.ip_address(ip.partition("%")[0]).is_loopback:
            raise InputError(
                "lies beyond this host, and the connection would be neither encrypted nor authenticated",
                where=address, hint="join a fleet (tcp:identity=FOLDER), or allow it on a network you trust (tcp:plain=true)",
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
