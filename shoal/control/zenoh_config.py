"""How Zenoh is set up here: one hub that all connect to, no discovery, mutual TLS, and a short lease."""

from __future__ import annotations

import ipaddress
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.control.messages import MAX_BYTES
from shoal.errors import InputError, MissingExtra, WireError
from shoal.identity import Identity

if TYPE_CHECKING:
    import zenoh

LEASE_MS = 900  # who says nothing for so long is gone; it is told apart at once, so a second holds with room
KEEP_ALIVES = 4  # a lease
RETRY_MS = {"period_init_ms": 100, "period_max_ms": 500, "period_increase_factor": 2}
OPEN_MS = 2000  # for a connection to be made
PORT = 7447


@dataclass(frozen=True)
class Address:
    """Where a hub listens."""

    protocol: str  # "tls", or "tcp" on this machine
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.protocol}/{host}:{self.port}"


def address(text: str, secure: bool) -> Address:
    """The address written as "tls/host:port", "host:port" or "host".

    Raises:
        InputError: it is none, or plain beyond this machine.
    """
    protocol, slash, rest = text.rpartition("/")
    host, _, port = rest.rpartition(":") if ":" in rest.rpartition("]")[2] else (rest, "", str(PORT))
    if not slash:
        protocol = "tls" if secure else "tcp"
    if protocol not in ("tls", "tcp") or not host or not port.isdigit() or int(port) > 65535:
        raise InputError("not the address of a hub", where=text, needed="tls/HOST:PORT")
    found = Address(protocol, host.strip("[]"), int(port))
    _check_security(found, secure, text)
    return found


def _check_security(found: Address, secure: bool, text: str) -> None:
    if secure != (found.protocol == "tls"):
        raise InputError("an identity goes with tls, and none with tcp", where=text)
    if not secure and not _loopback(found.host):
        raise InputError(
            "no plain connections beyond this machine", where=text, hint="make certificates: `shoal fleet init`"
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def with_port(listen: Address) -> Address:
    """`listen`, with a free port in place of 0.

    Raises:
        WireError: it cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((listen.host, listen.port))
            return Address(listen.protocol, listen.host, probe.getsockname()[1])
    except OSError as fault:
        raise WireError(f"cannot listen: {fault.strerror}", where=str(listen)) from fault


def hub_config(listen: Address, identity: Identity | None, rules: dict[str, Any] | None) -> dict[str, Any]:
    """The configuration of a hub."""
    return _config(listen.protocol, identity, rules) | {
        "mode": "router",
        "listen": {"endpoints": [str(listen)], "exit_on_failure": True},
    }


def client_config(hub: Address, identity: Identity | None, rules: dict[str, Any] | None) -> dict[str, Any]:
    """The configuration of a device or another coordinator."""
    connect = {"endpoints": [str(hub)], "timeout_ms": OPEN_MS, "exit_on_failure": True, "retry": RETRY_MS}
    return _config(hub.protocol, identity, rules) | {"mode": "client", "connect": connect}


def open_session(config: dict[str, Any], where: str) -> zenoh.Session:
    """A session of Zenoh.

    Raises:
        MissingExtra: Zenoh is not installed.
        WireError: the session cannot be opened.
    """
    try:
        import zenoh
    except ImportError:
        raise MissingExtra("eclipse-zenoh", "live") from None
    try:
        return zenoh.open(zenoh.Config.from_json5(json.dumps(config)))
    except zenoh.ZError as fault:
        raise WireError(f"no control plane: {fault}", where=where) from fault


def close_session(session: Any) -> None:
    """End a session: its `close` has no types."""
    session.close()


def _config(protocol: str, identity: Identity | None, rules: dict[str, Any] | None) -> dict[str, Any]:
    link: dict[str, Any] = {
        "protocols": [protocol],
        "tx": {"lease": LEASE_MS, "keep_alive": KEEP_ALIVES},
        "rx": {"max_message_size": 2 * MAX_BYTES},  # dropped there; what is over MAX_BYTES is answered
    }
    if identity:
        link["tls"] = _tls(identity)
    settings: dict[str, Any] = {
        "scouting": {"multicast": {"enabled": False}, "gossip": {"enabled": False}},
        "transport": {
            "link": link,
            "unicast": {"open_timeout": OPEN_MS, "accept_timeout": OPEN_MS},
            "shared_memory": {"enabled": False},
        },
        "adminspace": {"enabled": False},
        "plugins_loading": {"enabled": False},
    }
    return settings | ({"access_control": rules} if rules else {})


def _tls(identity: Identity) -> dict[str, Any]:
    """Mutual TLS 1.3. Whom a certificate names is held against the access rules, not against a host's name."""
    paths = identity.paths
    certificate, key = str(paths.certificate), str(paths.key)
    return {
        "root_ca_certificate": str(paths.authority),
        "listen_certificate": certificate,
        "listen_private_key": key,
        "connect_certificate": certificate,
        "connect_private_key": key,
        "enable_mtls": True,
        "verify_name_on_connect": False,
        "close_link_on_expiration": True,
    }
