"""A fleet's certificate authority: a folder on the coordinator's machine."""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from shoal import codec
from shoal.errors import InputError, WireError
from shoal.identity import _x509
from shoal.identity.load import load
from shoal.identity.names import check_name
from shoal.identity.request import make
from shoal.identity.revoked import read_revoked, serial_text, write_revoked
from shoal.identity.values import AUTHORITY, REVOKED, Identity, Party, Paths, Role

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.x509 import Certificate, CertificateBuilder, GeneralName, KeyUsage, Name

KEY, ISSUED = "authority.key", "issued"
VALID_DAYS = 825
_AUTHORITY_DAYS = 3650
_SLACK = timedelta(minutes=10)  # clocks of a fleet differ a little


@dataclass(frozen=True)
class Issued:
    """A certificate that was given."""

    serial: str
    name: str
    role: Role
    not_after_s: float  # Unix seconds
    key_sha256: str  # of the public key
    folder: str = ""  # where the identity lies, if it was made here


@dataclass(frozen=True)
class Authority:
    """Gives certificates, and takes them back. Its key is read when it is needed and kept nowhere else."""

    folder: Path
    fleet: str

    @property
    def pem(self) -> bytes:
        """Its certificate, PEM."""
        return _x509.read(self.folder / AUTHORITY)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its certificate, hexadecimal."""
        return _x509.fingerprint(self._certificate())

    def issue(
        self, request_pem: bytes, name: str, role: Role, valid_days: float = VALID_DAYS, hosts: Sequence[str] = ()
    ) -> bytes:
        """A certificate (PEM) for the key of a request; what the request says of its name and role does not count.

        Args:
            request_pem: what `request.make` gave.
            name: of the party, unique in the fleet.
            role: "device" or "coordinator".
            valid_days: from now on.
            hosts: more host names or IP addresses it may be called by.

        Raises:
            WireError: not a request.
            InputError: no name for a party, or one that another key has a certificate for.
        """
        return self._issue(_key_in(request_pem, name), name, role, valid_days, hosts)

    def identity(
        self,
        folder: Path,
        name: str,
        role: Role,
        valid_days: float = VALID_DAYS,
        hosts: Sequence[str] = (),
    ) -> Identity:
        """Make key and certificate in `folder`: for coordinators, and parties on this machine.

        Raises:
            InputError: as `issue`, or the folder cannot be written.
        """
        request_pem = make(folder, name)
        issued = self._issue(_key_in(request_pem, name), name, role, valid_days, hosts, str(folder.resolve()))
        paths = Paths.of(folder)
        codec.write_bytes(self.pem, paths.authority)
        codec.write_bytes(issued, paths.certificate)
        write_revoked(self.revoked(), paths.revoked)
        return load(folder)

    def issued(self) -> tuple[Issued, ...]:
        """All certificates given so far that are still valid, taken back or not; by name."""
        files = sorted((self.folder / ISSUED).glob("*.json"))
        found = [codec.load(Issued, path) for path in files]
        here_s = _x509.now().timestamp()
        return tuple(sorted((each for each in found if each.not_after_s > here_s), key=lambda each: each.name))

    def holder(self, name: str) -> Issued | None:
        """The valid certificate in that name, if there is one."""
        revoked = self.revoked()
        return next((each for each in self.issued() if each.name == name and each.serial not in revoked), None)

    def revoked(self) -> frozenset[str]:
        """Serial numbers of certificates taken back."""
        return read_revoked(self.folder / REVOKED)

    def revoke(self, name: str) -> tuple[str, ...]:
        """Take all certificates in that name back; their serial numbers.

        Identities that were made here learn of it at once; for others, hand them the file `revoked.json`.

        Raises:
            InputError: nobody has one.
        """
        with self.locked():
            revoked, issued = self.revoked(), self.issued()
            serials = tuple(each.serial for each in issued if each.name == name and each.serial not in revoked)
            if not serials:
                raise InputError("nobody has a valid certificate in that name", where=name)
            write_revoked(revoked | set(serials), self.folder / REVOKED)
            for folder in {Path(each.folder) for each in issued if each.folder}:
                if folder.is_dir():
                    write_revoked(revoked | set(serials), Paths.of(folder).revoked)
        return serials

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time change the folder."""
        try:
            file = (self.folder / ".lock").open("w")
        except OSError as fault:
            raise InputError(f"cannot write: {fault.strerror or fault}", where=str(self.folder)) from fault
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _issue(
        self,
        key: EllipticCurvePublicKey,
        name: str,
        role: Role,
        valid_days: float,
        hosts: Sequence[str],
        folder: str = "",
    ) -> bytes:
        from cryptography.hazmat.primitives import hashes, serialization

        check_name(name)
        if role not in _x509.ROLES:
            raise InputError("no role", where=name, needed=" or ".join(_x509.ROLES), had=repr(role))
        mark = _mark(key)
        with self.locked():
            self._check_free(name, role, mark)
            signer, own = _x509.key_of(self.folder / KEY), self._certificate()
            _x509.check_times(own, str(self.folder / AUTHORITY))
            until = min(_x509.now() + timedelta(days=valid_days), own.not_valid_after_utc)
            builder = _base(own.subject, _subject(Party(self.fleet, name, role)), key, until)
            made = _as_party(builder, own, (name, *hosts)).sign(signer, hashes.SHA256())
            serial = serial_text(made.serial_number)
            note = Issued(serial, name, role, until.timestamp(), mark, folder)
            codec.save(note, self.folder / ISSUED / f"{serial}.json")
        return made.public_bytes(serialization.Encoding.PEM)

    def _check_free(self, name: str, role: Role, mark: str) -> None:
        """One name, one key: the same key may get another certificate in its name."""
        revoked = self.revoked()
        for each in self.issued():
            if each.name == name and each.serial not in revoked and (each.key_sha256, each.role) != (mark, role):
                raise InputError(
                    f"another {each.role} has a certificate in that name", where=name,
                    hint=f"choose another name, or first: shoal fleet revoke {name}",
                )  # fmt: skip

    def _certificate(self) -> Certificate:
        return _x509.certificate_of(self.pem, str(self.folder / AUTHORITY))


def create(folder: Path, fleet: str) -> Authority:
    """Make the authority of a new fleet in `folder`.

    Raises:
        MissingExtra: cryptography is not installed.
        InputError: no name for a fleet, there is one already, or the folder cannot be written.
    """
    _x509.need_library()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import NameOID

    check_name(fleet, "fleet's name")
    if (folder / KEY).exists() or (folder / AUTHORITY).exists():
        raise InputError("there is an authority already", where=str(folder))
    key = _x509.new_key()
    _x509.write_key(key, folder / KEY)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {fleet}"[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, fleet),
        ]
    )
    until = _x509.now() + timedelta(days=_AUTHORITY_DAYS)
    made = (
        _base(name, name, key.public_key(), until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    codec.write_bytes(made.public_bytes(serialization.Encoding.PEM), folder / AUTHORITY)
    return Authority(folder, fleet)


def open(folder: Path) -> Authority:  # read as authority.open
    """The authority in `folder`.

    Raises:
        InputError: there is none, or its key does not belong to its certificate.
    """
    own = _x509.certificate_of(_x509.read(folder / AUTHORITY), str(folder / AUTHORITY))
    if _x509.key_of(folder / KEY).public_key() != own.public_key():
        raise InputError("the key does not belong to the authority", where=str(folder / KEY))
    return Authority(folder, _x509.fleet_of(own))


def _key_in(request_pem: bytes, where: str) -> EllipticCurvePublicKey:
    """The public key of a request that is signed with it."""
    _x509.need_library()
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        if len(request_pem) > _x509.MAX_PEM_BYTES:
            raise ValueError("it is too long")
        asked = x509.load_pem_x509_csr(request_pem)
        key, sound = asked.public_key(), asked.is_signature_valid
    except _x509.damage() as fault:
        raise WireError("not a request for a certificate", where=where) from fault
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise WireError("the request is for a key of another kind", where=where, needed="ECDSA P-256")
    if not sound:
        raise WireError("the request is not signed with its key", where=where)
    return key


def _mark(key: EllipticCurvePublicKey) -> str:
    """What tells one key from another."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _subject(party: Party) -> Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    fields = (
        (NameOID.COMMON_NAME, party.name),
        (NameOID.ORGANIZATION_NAME, party.fleet),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, party.role),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in fields])


def _base(issuer: Name, subject: Name, key: EllipticCurvePublicKey, until: datetime) -> CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(_x509.now(), until) - _SLACK)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _as_party(builder: CertificateBuilder, issuer: Certificate, names: Sequence[str]) -> CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    mark = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(both, critical=False)
        .add_extension(x509.SubjectAlternativeName([_host(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(mark), critical=False)
    )


def _host(name: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(check_name(name, "host's name"))


def _usage(*, authority: bool) -> KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
