"""What is read from certificates and keys, with the library `cryptography`."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.errors import InputError, MissingExtra, ShoalError
from shoal.identity.values import Party, Role

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, Name

ROLES: tuple[Role, ...] = ("device", "coordinator")
MAX_PEM_BYTES = 1 << 16


def need_library() -> None:
    """Make sure that `cryptography` is there.

    Raises:
        MissingExtra: it is not.
    """
    try:
        import cryptography  # noqa: F401  # only whether it is there
    except ImportError as fault:
        raise MissingExtra("cryptography", "live") from fault


def now() -> datetime:
    """This moment, by this machine's clock."""
    return datetime.now(UTC)


def moment(time: datetime) -> str:
    """`time` for people."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def certificate_of(pem: bytes, where: str, kind: type[ShoalError] = InputError) -> Certificate:
    """The certificate in `pem`; raises `kind` if it is none."""
    need_library()
    from cryptography import x509

    try:
        if len(pem) > MAX_PEM_BYTES:
            raise ValueError("it is too long")
        return _whole(x509.load_pem_x509_certificate(pem))
    except damage() as fault:
        raise kind("not a certificate", where=where) from fault


def certificate_from_der(der: bytes, where: str, kind: type[ShoalError] = InputError) -> Certificate:
    """The certificate in `der`; raises `kind` if it is none."""
    need_library()
    from cryptography import x509

    try:
        return _whole(x509.load_der_x509_certificate(der))
    except damage() as fault:
        raise kind("not a certificate", where=where) from fault


def damage() -> tuple[type[Exception], ...]:
    """What `cryptography` raises for certificates, requests and keys that are damaged or of another kind."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    return (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


def _whole(certificate: Certificate) -> Certificate:
    """`certificate` once all that is asked of it later could be read: the library reads it piece by piece."""
    for read_now in ("subject", "issuer", "serial_number", "not_valid_before_utc", "not_valid_after_utc"):
        getattr(certificate, read_now)
    certificate.public_key()
    return certificate


def key_of(path: Path) -> EllipticCurvePrivateKey:
    """The private key in the file `path`.

    Raises:
        InputError: others can read it, or it is no such key. Nothing of the content is in the message.
    """
    need_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = read(path)
    check_private(path)
    try:
        key = serialization.load_pem_private_key(pem, None)
    except damage():
        raise InputError("not a private key", where=str(path)) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError("not a key of the kind fleets use", where=str(path), needed="ECDSA P-256")
    return key


def check_private(path: Path) -> None:
    """Refuse a key that other users can read.

    Raises:
        InputError: they can.
    """
    if path.stat().st_mode & 0o077:
        raise InputError("others can read this key", where=str(path), hint=f"chmod 600 {path}")


def new_key() -> EllipticCurvePrivateKey:
    """A new private key."""
    need_library()
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def write_key(key: EllipticCurvePrivateKey, path: Path) -> None:
    """Write `key` so that only this user can read it, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        beside.replace(path)
    except OSError as fault:
        beside.unlink(missing_ok=True)
        raise InputError(f"cannot write: {fault.strerror or fault}", where=str(path)) from fault


def read(path: Path) -> bytes:
    """The content of a small file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_PEM_BYTES + 1)
    except OSError as fault:
        hint = "shoal fleet init, or shoal join" if isinstance(fault, FileNotFoundError) else None
        raise InputError(f"cannot read: {(fault.strerror or '').lower()}", where=str(path), hint=hint) from fault


def party_in(certificate: Certificate, where: str, kind: type[ShoalError] = InputError) -> Party:
    """Who the subject of `certificate` is; raises `kind` if it is nobody of a fleet."""
    from cryptography.x509.oid import NameOID

    subject = certificate.subject
    fleet, name = _only(subject, NameOID.ORGANIZATION_NAME), _only(subject, NameOID.COMMON_NAME)
    return party_from(fleet, name, _only(subject, NameOID.ORGANIZATIONAL_UNIT_NAME), where, kind)


def party_from(fleet: str, name: str, role: str, where: str, kind: type[ShoalError]) -> Party:
    """The party of these fields; raises `kind` if one is missing or the role is none."""
    for known in ROLES:
        if role == known and fleet and name:
            return Party(fleet, name, known)
    raise kind("the certificate is not one of a fleet's party", where=where, had=f"{name}, {fleet}, {role}")


def check_chain(
    certificate: Certificate, authority: Certificate, where: str, kind: type[ShoalError] = InputError
) -> None:
    """Refuse a certificate that `authority` did not give, or whose time is not now; raises `kind`."""
    from cryptography.exceptions import InvalidSignature

    refusals: tuple[type[Exception], ...] = (*damage(), InvalidSignature)
    try:
        certificate.verify_directly_issued_by(authority)
    except refusals as fault:
        raise kind(
            "the certificate is from another authority", where=where,
            needed=_common(authority.subject), had=_common(certificate.issuer),
        ) from fault  # fmt: skip
    check_times(certificate, where, kind)
    check_times(authority, f"authority of {where}", kind)


def check_times(certificate: Certificate, where: str, kind: type[ShoalError] = InputError) -> None:
    """Refuse a certificate that is not valid now; raises `kind` with both times."""
    here = now()
    early = certificate.not_valid_before_utc - here
    late = here - certificate.not_valid_after_utc
    if early.total_seconds() > 0:
        hours = early.total_seconds() / 3600
        raise kind(
            "the certificate is not valid yet", where=where,
            needed=f"{moment(certificate.not_valid_before_utc)} or later",
            had=f"{moment(here)} by this machine's clock",
            hint=f"set the clock: it is at least {hours:.1f} h behind, or that of the authority is ahead",
        )  # fmt: skip
    if late.total_seconds() > 0:
        raise kind(
            "the certificate has expired", where=where,
            needed=f"{moment(certificate.not_valid_after_utc)} or earlier",
            had=f"{moment(here)} by this machine's clock",
            hint="get a new one (shoal fleet invite); if the date is wrong, set this machine's clock",
        )  # fmt: skip


def fingerprint(certificate: Certificate) -> str:
    """SHA-256 of the certificate, hexadecimal."""
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA256()).hex()


def fleet_of(authority: Certificate) -> str:
    """The fleet whose authority this is; empty if it is none's."""
    from cryptography.x509.oid import NameOID

    return _only(authority.subject, NameOID.ORGANIZATION_NAME)


def _common(name: Name) -> str:
    from cryptography.x509.oid import NameOID

    return _only(name, NameOID.COMMON_NAME) or "nobody"


def _only(name: Name, oid: object) -> str:
    found = [attribute.value for attribute in name if attribute.oid == oid]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""
