"""TLS between parties: both show a certificate of their fleet's authority, and are known by role and name.

Host names do not matter: devices move between addresses, and the certificate says which device it is.
"""

from __future__ import annotations

import ssl
from typing import Any, Protocol

from shoal.errors import InputError, WireError
from shoal.identity import _x509
from shoal.identity.revoked import read_revoked, serial_text
from shoal.identity.values import Identity, Party, Paths


class Shown(Protocol):
    """An SSLObject or SSLSocket whose handshake is done."""

    def getpeercert(self) -> Any:
        """The peer's certificate as the ssl module reads it."""


def server(identity: Identity, *, strangers: bool = False) -> ssl.SSLContext:
    """The side that is called. `strangers`: who has no certificate may call too (to enrol); `party_of` refuses them.

    Raises:
        InputError: the files of the identity cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity)
    context.verify_mode = ssl.CERT_OPTIONAL if strangers else ssl.CERT_REQUIRED
    context.num_tickets = 0  # every connection shows its certificate
    return context


def client(identity: Identity) -> ssl.SSLContext:
    """The side that calls.

    Raises:
        InputError: the files of the identity cannot be used.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, identity)


def newcomer(authority_pem: bytes) -> ssl.SSLContext:
    """The side that calls and has no certificate yet, but knows the fleet's authority.

    Raises:
        InputError: not a certificate.
    """
    context = bare(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=authority_pem.decode("ascii"))
    except (ssl.SSLError, ValueError) as fault:
        raise InputError("not a certificate", where="authority") from fault
    return context


def party_of(peer: Shown | bytes) -> Party:
    """Who the peer is, by the certificate it showed (or that certificate, DER).

    Raises:
        WireError: it showed none, or one that is nobody's of a fleet.
    """
    if isinstance(peer, bytes):
        return _x509.party_in(_x509.certificate_from_der(peer, "peer", WireError), "peer", WireError)
    shown = peer.getpeercert()
    if not shown:
        raise WireError("showed no certificate", hint="shoal join makes one")
    fields: dict[str, list[str]] = {}
    for relative in shown.get("subject", ()):
        for key, value in relative:
            fields.setdefault(key, []).append(value)
    known = {key: values[0] for key, values in fields.items() if len(values) == 1}
    names = ("organizationName", "commonName", "organizationalUnitName")
    fleet, name, role = (known.get(key, "") for key in names)
    return _x509.party_from(fleet, name, role, "peer", WireError)


def check_peer(identity: Identity, peer: Shown | bytes) -> Party:
    """Who the peer of `identity` is: one of the same fleet, whose certificate was not taken back.

    Raises:
        WireError: it is of another fleet, or revoked.
    """
    party = party_of(peer)
    if party.fleet != identity.party.fleet:
        raise WireError("is of another fleet", where=party.name, needed=identity.party.fleet, had=party.fleet)
    if _serial(peer) in read_revoked(identity.paths.revoked):
        raise WireError("its certificate was revoked", where=party.name, hint=f"shoal fleet invite {party.name}")
    return party


def _serial(peer: Shown | bytes) -> str:
    if isinstance(peer, bytes):
        return serial_text(_x509.certificate_from_der(peer, "peer", WireError).serial_number)
    return serial_text(int(peer.getpeercert()["serialNumber"], 16))


def bare(protocol: int) -> ssl.SSLContext:
    """A context that demands certificates, and has none yet."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def equip(context: ssl.SSLContext, paths: Paths) -> None:
    """Give `context` the files of an identity.

    Raises:
        InputError: they cannot be used.
    """
    try:
        context.load_cert_chain(paths.certificate, paths.key, password=_no_password)
        context.load_verify_locations(paths.authority)
    except (ssl.SSLError, OSError) as fault:
        why = (fault.reason or "") if isinstance(fault, ssl.SSLError) else (fault.strerror or "")
        where = str(paths.certificate.parent)
        raise InputError(f"cannot be used: {why.lower().replace('_', ' ')}", where=where) from fault


def _context(protocol: int, identity: Identity) -> ssl.SSLContext:
    context = bare(protocol)
    equip(context, identity.paths)
    return context


def _no_password() -> str:
    """Instead of asking on the terminal."""
    return ""
