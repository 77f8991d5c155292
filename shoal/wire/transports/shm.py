"""Parties as processes of one Linux host: payloads in shared memory, headers over Unix sockets."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shoal.errors import InputError, WireError
from shoal.program import CLIENT, Program
from shoal.wire.meeting import meet_as_client, meet_as_worker
from shoal.wire.ring import RingEndpoint, shared_bytes
from shoal.wire.talk import HELLO_S, Wire

_CREDENTIALS = struct.Struct("3i")  # process, user, group


@dataclass(frozen=True)
class Shm:
    """Shared memory on one host. An address is a name in the kernel, "@…"; nothing lies in a folder.

    The memory has no name either: it goes from peer to peer over their socket, and the kernel frees it when
    the last of them ends, however it ends.
    """

    wait_s: float | None = None  # how long a worker waits for the client, in seconds; none: for ever

    def worker(self, name: str, program: Program, address: str, announce: Callable[[str], None]) -> RingEndpoint:
        """The endpoint of the unit `name`, reachable at `address` ("" = choose one).

        Raises:
            InputError: this is not Linux.
            WireError: the address is in use, or a peer cannot be reached.
        """
        sockets = _UnixSockets(name, program)
        links = meet_as_worker(name, program, sockets, address, announce, wait_s=self.wait_s)
        return RingEndpoint(name, program, links)

    def client(self, program: Program, addresses: Mapping[str, str]) -> RingEndpoint:
        """The coordinator's endpoint.

        Raises:
            InputError: this is not Linux.
            WireError: a unit cannot be reached, or runs another program or protocol.
        """
        links = meet_as_client(program, _UnixSockets(CLIENT, program), addresses)
        return RingEndpoint(CLIENT, program, links)


class _UnixSockets:
    """Connections in the abstract namespace, between processes of one user."""

    beat_s = 0.0  # beats are for connections between hosts

    def __init__(self, name: str, program: Program) -> None:
        if not hasattr(os, "memfd_create"):
            raise InputError("shared memory between workers needs Linux", hint="use tcp")
        self._name, self._program = name, program

    def listen(self, address: str) -> tuple[socket.socket, str]:
        address = address or f"@shoal-{secrets.token_hex(8)}"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(_abstract(address))
            sock.listen(128)
        except OSError as fault:
            sock.close()
            raise WireError(f"cannot listen at {address}: {(fault.strerror or str(fault)).lower()}") from fault
        return sock, address

    def dial(self, address: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(HELLO_S)
            sock.connect(_abstract(address))
            self.admit(sock)
        except (OSError, WireError):
            sock.close()
            raise
        return sock

    def admit(self, sock: socket.socket) -> socket.socket:
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        process, user, _ = _CREDENTIALS.unpack(data)
        if user != os.getuid():
            raise WireError("belongs to another user", where=f"process {process}", had=f"user {user}")
        return sock

    def vouch(self, sock: Wire, party: str) -> None:
        """Nothing to add: only processes of this user come so far."""

    def offer(self, peer: str) -> int:
        descriptor = os.memfd_create("shoal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, shared_bytes(self._program, self._name, peer))
        # A peer cannot take memory away that others have mapped.
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        return descriptor

    def receive(self, sock: Wire, size: int) -> tuple[bytes, int]:
        assert isinstance(sock, socket.socket)
        data, descriptors, _, _ = socket.recv_fds(sock, size, 1, socket.MSG_CMSG_CLOEXEC)
        return data, descriptors[0] if descriptors else -1


def _abstract(address: str) -> str:
    return "\0" + address.removeprefix("@")
