"""The way to a hub: its address, what we show there, and what is asked of whoever answers."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from shoal.errors import InputError, WireError
from shoal.identity import Identity, Party, check_peer, contexts, party_of


@dataclass(frozen=True)
class Way:
    """Makes connections. Anyone who answers is heard out only after `check`."""

    address: str  # "https://host:port"
    context: ssl.SSLContext
    check: Callable[[ssl.SSLSocket], object]  # raises WireError

    @property
    def host(self) -> str:
        """Where the hub is, without the port."""
        return _split(self.address)[0]

    def connection(self, patience_s: float) -> http.client.HTTPSConnection:
        """A connection, made at the first request; `patience_s`: how long the hub may say nothing.

        Raises:
            InputError: the address is none.
        """
        host, port = _split(self.address)
        return _Connection(host, port, timeout=patience_s, context=self.context, check=self.check)


def known(address: str, identity: Identity) -> Way:
    """To the hub of our fleet, as one who belongs to it."""

    def check(sock: ssl.SSLSocket) -> None:
        _is_hub(check_peer(identity, sock), identity.party.fleet, address)

    return Way(address, contexts.client(identity), check)


def invited(address: str, authority: str, fleet: str) -> Way:
    """To the hub of a fleet whose authority's certificate (PEM) we know, with nothing to show yet."""
    return Way(address, contexts.newcomer(authority.encode()), lambda sock: _is_hub(party_of(sock), fleet, address))


def unknown(address: str) -> Way:
    """To whoever answers: nothing secret may be told on it, and nothing that comes believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return Way(address, context, lambda _: None)


class _Connection(http.client.HTTPSConnection):
    def __init__(
        self, host: str, port: int, *, timeout: float, context: ssl.SSLContext, check: Callable[..., object]
    ) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self._check = check

    def connect(self) -> None:
        """Also look at who answers, before anything is said."""
        super().connect()
        try:
            self._check(self.sock)
        except WireError:
            self.close()
            raise


def _is_hub(party: Party, fleet: str, address: str) -> None:
    """Another device of the fleet must not pass for the hub.

    Raises:
        WireError: it is none of the fleet's coordinators.
    """
    if (party.fleet, party.role) != (fleet, "coordinator"):
        raise WireError("what answers is not the hub", where=address, needed=f"a coordinator of '{fleet}'",
                        had=str(party))  # fmt: skip


def _split(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme != "https" or not host or port is None:
        raise InputError(f"'{address}' is not where a hub is", hint="https://host:port")
    return host, port
