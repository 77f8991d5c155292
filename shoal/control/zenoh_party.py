"""Who this process is on the control plane, and who answers at the hub's address, before Zenoh connects.

Zenoh says little of why a connection fails. So the certificates are looked at first, and one plain TLS connection is
made with the hub: what is wrong is said in words, and the hub's name becomes the only one that is listened to.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shoal.control.judge import in_words
from shoal.control.zenoh_config import Address
from shoal.control.zenoh_keys import check_name
from shoal.errors import InputError, MissingExtra, WireError

MEET_S = 3.0
REFUSAL_S = 0.3  # a server that refuses our certificate says so within that much of its own handshake's end
PLAIN_FLEET = "local"


@dataclass(frozen=True)
class Party:
    """A member of a fleet."""

    fleet: str
    name: str
    role: str  # "device" or "coordinator"
    folder: Path | None = None  # with certificate.pem, key.pem and authority.pem; none on this machine alone


def plain(name: str, role: str) -> Party:
    """A party without a certificate, for trials on one machine."""
    return Party(PLAIN_FLEET, check_name(name, role), role)


def party(folder: Path, role: str) -> Party:
    """The party whose certificate is in `folder`.

    Raises:
        InputError: a file is missing or broken, the certificate is for another role, or not valid now.
        MissingExtra: cryptography is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.x509.oid import NameOID
    except ImportError:
        raise MissingExtra("cryptography", "live") from None
    path = folder / "certificate.pem"
    for file in (path, folder / "key.pem", folder / "authority.pem"):
        if not file.is_file():
            raise InputError("this part of an identity is missing", where=str(file), hint="join the fleet again")
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        fleet, name, found = (
            str(certificate.subject.get_attributes_for_oid(part)[0].value)
            for part in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)
        )
    except (ValueError, IndexError) as fault:
        raise InputError(f"not a certificate of a fleet: {fault}", where=str(path)) from fault
    if found != role:
        raise InputError("this certificate is for another role", where=str(path), needed=role, had=found)
    _check_time(certificate.not_valid_before_utc, certificate.not_valid_after_utc, str(path))
    return Party(check_name(fleet, "fleet"), check_name(name, role), role, folder)


def _check_time(start: datetime, end: datetime, where: str) -> None:
    now = datetime.now(UTC)
    clock = f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC"
    if now > end:
        ago = in_words((now - end).total_seconds())
        raise InputError(
            f"this certificate expired {ago} ago", where=where, hint=f"join the fleet again; or is {clock} wrong?"
        )
    if now < start:
        ahead = in_words((start - now).total_seconds())
        raise InputError(f"this certificate begins in {ahead}", where=where, hint=f"set the clock: {clock}")


def hub_name(me: Party, hub: Address) -> str:
    """The name of the coordinator that answers at `hub`, as its certificate has it.

    Raises:
        WireError: nobody answers, it is none of this fleet's coordinators, or it does not want us.
    """
    where = str(hub)
    try:
        with (
            socket.create_connection((hub.host, hub.port), MEET_S) as plain_socket,
            _context(me).wrap_socket(plain_socket) as connection,
        ):
            subject = _subject(connection)
            connection.settimeout(REFUSAL_S)
            _hear_refusal(connection)
    except ssl.SSLCertVerificationError as fault:
        raise _foreign(fault, where) from fault
    except ssl.SSLError as fault:
        raise _refused(fault, me, where) from fault
    except OSError as fault:
        raise WireError(
            f"no hub answers: {fault.strerror or fault}", where=where, hint="is `shoal fleet open` running there?"
        ) from fault
    return _coordinator(subject, me, where)


def _context(me: Party) -> ssl.SSLContext:
    folder = me.folder or Path()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # certificates name parties, not hosts
    try:
        context.load_verify_locations(folder / "authority.pem")
        context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    except (ssl.SSLError, OSError) as fault:
        raise InputError(f"not a certificate with its key: {fault}", where=str(folder)) from fault
    return context


def _subject(connection: ssl.SSLSocket) -> dict[str, str]:
    pairs = (connection.getpeercert() or {}).get("subject", ())
    return {str(pair[0]): str(pair[1]) for group in pairs for pair in group}  # type: ignore[union-attr, index]  # typeshed knows no shape of it


def _hear_refusal(connection: ssl.SSLSocket) -> None:
    """With TLS 1.3 a client is done before the server has looked at its certificate."""
    try:
        if not connection.recv(1):
            raise ssl.SSLError("the connection was closed")
    except TimeoutError:
        return


def _coordinator(subject: dict[str, str], me: Party, where: str) -> str:
    fleet, role, name = (
        subject.get(part, "") for part in ("organizationName", "organizationalUnitName", "commonName")
    )
    if fleet != me.fleet:
        raise WireError("the hub is of another fleet", where=where, needed=me.fleet, had=fleet)
    if role != "coordinator":
        raise WireError(f"'{name}' answers, which is no coordinator", where=where, had=role)
    return name


def _foreign(fault: ssl.SSLCertVerificationError, where: str) -> WireError:
    return WireError(
        f"the hub's certificate does not hold: {fault.verify_message}",
        where=where,
        hint="is it the right fleet, and this machine's clock right?",
    )


def _refused(fault: ssl.SSLError, me: Party, where: str) -> WireError:
    why = (fault.reason or str(fault)).lower().replace("_", " ")
    return WireError(
        f"the hub does not take the certificate of '{me.name}' ({why})",
        where=where,
        hint="of another fleet, expired, or a clock is wrong; the hub's log says more",
    )
