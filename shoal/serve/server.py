"""A server for an application: a socket, signals, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from shoal.errors import InputError, Interrupted, WorkError
from shoal.live import Backend
from shoal.serve.app import DEADLINE_S, Classifier, app

if TYPE_CHECKING:
    from fastapi import FastAPI
    from uvicorn import Config

BACKLOG = 512  # connections that wait to be accepted
LOOK_S = 0.2  # how often it is looked whether a second signal came while what was taken is being done
LAST_WORDS_S = 5  # for answers to be written and connections closed, once all work is done
IDLE_S = 75  # that a connection may be; closing one sooner meets the next request of clients that keep theirs for a minute
CERTIFICATE, KEY, AUTHORITY = "certificate.pem", "key.pem", "authority.pem"


def bound(host: str, port: int) -> socket.socket:
    """A socket at `host` and `port` (0: a free one) that does not listen yet.

    Raises:
        InputError: there is no such address here, or it is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as fault:
        raise InputError(f"cannot serve there: {fault}", where=f"{host}:{port}") from fault
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as fault:
        found.close()
        hint = "--port 0 takes a free one" if port else None
        raise InputError(f"cannot serve there: {fault.strerror}", where=f"{host}:{port}", hint=hint) from fault
    return found


def url_of(listening: socket.socket, *, secure: bool) -> str:
    """Where a bound socket is reached."""
    host, port = listening.getsockname()[:2]
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def check_open(listening: socket.socket, identity: Path | None, *, plain: bool) -> None:
    """Refuse to serve other hosts without encryption unless that was asked for.

    Raises:
        InputError: neither an identity nor `plain`.
    """
    if identity is None and not plain and not ipaddress.ip_address(listening.getsockname()[0]).is_loopback:
        raise InputError(
            "other hosts would be served unencrypted, and whoever they are",
            where=url_of(listening, secure=False),
            hint="--identity FOLDER for mutual TLS, --plain if something in front of it does that",
        )


def secured(identity: Path) -> ssl.SSLContext:
    """Mutual TLS with an identity folder: clients show a certificate of the same authority, or get nothing.

    Raises:
        InputError: the folder holds no such identity.
    """
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.minimum_version = ssl.TLSVersion.TLSv1_3
    found.verify_mode = ssl.CERT_REQUIRED
    try:
        found.load_cert_chain(identity / CERTIFICATE, identity / KEY)
        found.load_verify_locations(identity / AUTHORITY)
    except OSError as fault:  # ssl's own errors are some too
        needed = f"{CERTIFICATE}, {KEY} and {AUTHORITY}"
        raise InputError(f"no identity: {fault}", where=str(identity), needed=needed) from fault
    return found


def run(
    backend: Backend,
    host: str,
    port: int,
    *,
    name: str,
    drain_s: float = 30.0,
    page: bool = True,
    deadline_s: float | None = DEADLINE_S,
    classifier: Classifier | None = None,
    identity: Path | None = None,
    plain: bool = False,
) -> None:
    """Serve `backend` at `host` and `port` until a signal; see `app` and `serve`.

    `identity`: a folder for mutual TLS. Without one, other hosts are served only if `plain`.

    Raises:
        InputError: the address cannot be served, or the classifier does not fit.
        WorkError: what was taken was not done within `drain_s`.
    """
    with bound(host, port) as listening:
        check_open(listening, identity, plain=plain)
        context = secured(identity) if identity else None
        made = app(backend, name=name, page=page, deadline_s=deadline_s, classifier=classifier)
        serve(made, backend, listening, drain_s, context)


class Drained(Protocol):
    """What is asked to end."""

    def drain(self, within_s: float) -> bool:
        """Take no more; whether all that was taken is done by then."""


def serve(
    made: FastAPI,
    backend: Drained,
    listening: socket.socket,
    drain_s: float,
    context: ssl.SSLContext | None = None,
    began: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT; then take no more and end what was taken. A second signal ends at once.

    `began` is called once connections are accepted.

    Raises:
        WorkError: what was taken was not done within `drain_s`.
        Interrupted: a second signal came.
    """
    from shoal.serve.draining import Draining

    server = Draining(config(made, context), lambda: _drain(made, backend, drain_s), began)
    server.run(sockets=[listening])
    if server.interrupted and not server.drained:
        raise Interrupted("ended at once by a second signal: what was not answered is lost")
    if not server.drained:
        raise WorkError("not all that was taken was done in time", needed=f"within {drain_s:g} s")


async def _drain(made: FastAPI, backend: Drained, drain_s: float) -> bool:
    until_s, left_s, done = time.monotonic() + drain_s, drain_s, False
    while not done and left_s >= 0:  # in steps: nobody can tell a thread that it need not wait any longer
        done = await asyncio.to_thread(backend.drain, min(left_s, LOOK_S))
        left_s = until_s - time.monotonic()
    made.state.feed.end()
    return done


def config(made: FastAPI, context: ssl.SSLContext | None = None) -> Config:
    """How uvicorn serves `made`."""
    from uvicorn import Config

    found = Config(
        made,
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=64 << 10,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=LAST_WORDS_S,
        ws="none",
    )
    if context is not None:
        found.load()
        found.ssl = context
    return found
