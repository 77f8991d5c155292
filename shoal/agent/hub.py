"""The coordinator's HTTPS server: lets invited devices in, and gives devices of the fleet their files.

    GET  /authority      the authority's certificate, to anyone: a token says which one is right
    POST /enrol          {"name", "secret", "request"}: an invitation for a certificate, once
    GET  /hello          to devices: where they are seen, and what time it is
    GET  /link           to devices: bytes to measure the way by
    GET  /parts/SHA256   to devices: a file

Whoever has no certificate of the fleet gets nothing else, and the log says so. Everything that comes from outside is
bounded: how many connect, how long they may take, how much they may say.
"""

from __future__ import annotations

import http.client
import json
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

from shoal import codec
from shoal.agent.joining import Enrolled, Enrolment, Hello
from shoal.agent.patience import Patience
from shoal.agent.shelf import Shelf
from shoal.errors import InputError, ShoalError, WireError

LOG = logging.getLogger(__name__)
CONNECTIONS = 128  # at once
SILENCE_S = 15.0  # how long a peer may say, or take, nothing
STRANGER_S = 10.0  # how long somebody without a certificate may take for everything
BODY_BYTES = 16 << 10
LINK_BYTES = 1 << 20
_PART = re.compile(r"/parts/([0-9a-f]{64})")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Gate(Protocol):
    """Who is let in, and with what."""

    @property
    def context(self) -> ssl.SSLContext:
        """Of the server; asks for a certificate, and takes none too."""

    @property
    def authority(self) -> str:
        """The authority's certificate, PEM."""

    def device(self, sock: ssl.SSLSocket) -> str | None:
        """Who the peer is; None: it showed no certificate.

        Raises:
            WireError: it is no device of this fleet.
        """

    def enrol(self, asked: Enrolment) -> Enrolled:
        """Let a device in.

        Raises:
            ShoalError: the invitation is not good.
        """

    def hello(self, host: str) -> Hello:
        """What a device that is seen at `host` is told."""


class Hub:
    """The server, on threads of its own until `close`."""

    def __init__(self, listen: str, gate: Gate, shelf: Shelf) -> None:
        """Listen at "host:port"; port 0 takes a free one.

        Raises:
            InputError: not an address.
            WireError: it is in use, or not of this machine.
        """
        host, colon, port = listen.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 0xFFFF:
            raise InputError(f"'{listen}' is not an address", hint="write it host:port")
        self._shelf = shelf
        try:
            self._server = _Server((host.strip("[]"), int(port)), gate, shelf)
        except OSError as fault:
            raise WireError(f"cannot listen at {listen}: {fault.strerror or fault}") from fault
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.5,), name="hub", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def offer(self, parts: Mapping[str, Path]) -> None:
        """Give these files, by SHA-256, to devices that ask.

        Raises:
            InputError: one cannot be read.
        """
        for sha256, path in parts.items():
            self._shelf.put(sha256, path)

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, where: tuple[str, int], gate: Gate, shelf: Shelf) -> None:
        if ":" in where[0]:
            self.address_family = socket.AF_INET6
        self.gate, self.shelf, self.patience = gate, shelf, Patience()
        self.strangers: dict[socket.socket, float] = {}  # until when they may stay
        self.lock = threading.Lock()
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(where, _Handler)

    def server_bind(self) -> None:
        """Without looking for a name of this host, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is a place."""
        if self._places.acquire(blocking=False):
            return True
        LOG.warning("refused a connection from %s: %d are there", client_address[0], CONNECTIONS)
        return False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Everything of one connection, TLS included."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands, then answer requests."""
        context = self.gate.context
        with context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secure:
            secure.settimeout(SILENCE_S)
            with self.lock:
                self.strangers[secure] = time.monotonic() + STRANGER_S
            try:
                secure.do_handshake()
                _Handler(secure, client_address, self)
            except OSError as fault:
                LOG.warning("refused %s: %s", client_address[0], _tls_words(fault))
            finally:
                self.acquainted(secure)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A defect of ours, or a peer that left; the server goes on."""
        LOG.exception("a request from %s failed", client_address[0])

    def service_actions(self) -> None:
        """Show those out who take too long."""
        now_s = time.monotonic()
        with self.lock:
            late = [sock for sock, until_s in self.strangers.items() if until_s < now_s]
        for sock in late:
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:  # it left by itself
                continue

    def acquainted(self, sock: socket.socket) -> None:
        """The peer at `sock` may stay; or has left."""
        with self.lock:
            self.strangers.pop(sock, None)


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True  # heads and bodies are written one after the other
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "shoal", ""
    server: _Server
    connection: ssl.SSLSocket
    name: str | None
    why: str  # there is no name

    def setup(self) -> None:
        """Know who is there."""
        super().setup()
        self.name, self.why = None, "a certificate of this fleet is needed"
        try:
            self.name = self.server.gate.device(self.connection)
        except ShoalError as fault:
            self.why = fault.message
        if self.name is not None:
            self.server.acquainted(self.connection)

    def do_GET(self) -> None:
        """Files and facts."""
        part = _PART.fullmatch(self.path)
        if self.path == "/authority":
            self._say(self.server.gate.authority.encode())
        elif self.name is None:
            self.send_error(http.client.FORBIDDEN, self.why)
        elif self.path == "/hello":
            self._say(codec.encode(self.server.gate.hello(self.client_address[0])))
        elif self.path == "/link":
            self._say(bytes(LINK_BYTES))
        elif part is not None and self.server.shelf.path(part[1]).is_file():
            self._give(self.server.shelf.path(part[1]))
        else:
            self.send_error(http.client.NOT_FOUND, "there is nothing of that name")

    def do_POST(self) -> None:
        """Let a device in that was invited."""
        self.close_connection = True
        length = self.headers.get("Content-Length", "")
        wait_s = self.server.patience.wait_s(self.client_address[0])
        if self.path != "/enrol":
            self.send_error(http.client.NOT_FOUND, "there is nothing of that name")
        elif wait_s > 0:
            self.send_error(http.client.TOO_MANY_REQUESTS, f"too many attempts failed; again in {wait_s:.0f} s")
        elif not length.isdecimal() or int(length) > BODY_BYTES:
            self.send_error(http.client.REQUEST_ENTITY_TOO_LARGE, f"at most {BODY_BYTES} bytes, and say how many")
        else:
            self._enrol(self.rfile.read(int(length)))

    def _enrol(self, body: bytes) -> None:
        try:
            asked = codec.decode(Enrolment, body, "request")
            given = self.server.gate.enrol(asked)
        except ShoalError as fault:
            self.server.patience.failed(self.client_address[0])
            self.send_error(http.client.FORBIDDEN, fault.message)
            return
        LOG.info("%s joined from %s", asked.name, self.client_address[0])
        self._say(codec.encode(given))

    def _say(self, body: bytes) -> None:
        self.send_response(http.client.OK)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _give(self, path: Path) -> None:
        with path.open("rb") as file:
            size = path.stat().st_size
            asked = _RANGE.fullmatch(self.headers.get("Range", ""))
            first = int(asked[1]) if asked else 0
            last = min(int(asked[2]) if asked and asked[2] else size - 1, size - 1)
            if asked and not first <= last:
                self.send_error(http.client.REQUESTED_RANGE_NOT_SATISFIABLE, f"it has {size} bytes")
                return
            self.send_response(http.client.PARTIAL_CONTENT if asked else http.client.OK)
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("Content-Length", str(last - first + 1))
            self.end_headers()
            if last >= first:
                self.connection.sendfile(file, first, last - first + 1)
        LOG.info("gave %s %s from byte %d", self.name, path.name[:12], first)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse in one line, and say so in the log."""
        body = (message or http.client.responses.get(code, "")).encode()
        who = self.name or "a stranger"
        LOG.warning("refused %s at %s: %s %s", who, self.client_address[0], code, body.decode())
        self.send_response(code)
        self.send_header("Connection", "close")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """What was asked; only refusals and gifts are worth a line."""
        LOG.debug(format, *args)


def _tls_words(fault: OSError) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"its certificate is not of this fleet: {fault.verify_message}"
    return json.dumps(str(fault))  # may hold what a stranger sent
