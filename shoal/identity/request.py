"""A device asks for a certificate: its key is made where it stays."""

from __future__ import annotations

from pathlib import Path

from shoal import codec
from shoal.identity._x509 import key_of, need_library, new_key, write_key
from shoal.identity.load import load
from shoal.identity.names import check_name
from shoal.identity.values import Identity, Paths


def make(folder: Path, name: str) -> bytes:
    """A request (PEM) for a certificate in `name`; its key is kept in `folder`, made unless it is there.

    Raises:
        MissingExtra: cryptography is not installed.
        InputError: no name for a party, or the folder cannot be written.
    """
    need_library()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import NameOID

    check_name(name)
    path = Paths.of(folder).key
    if not path.exists():
        write_key(new_key(), path)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key_of(path), hashes.SHA256())
    return asked.public_bytes(serialization.Encoding.PEM)


def accept(folder: Path, certificate_pem: bytes, authority_pem: bytes) -> Identity:
    """Keep the answer to the request that was made in `folder`; the identity it gives.

    Raises:
        InputError: it does not belong to the key there, or is not valid; nothing of it is kept then.
    """
    paths = Paths.of(folder)
    earlier = {path: path.read_bytes() for path in (paths.certificate, paths.authority) if path.exists()}
    try:
        codec.write_bytes(authority_pem, paths.authority)
        codec.write_bytes(certificate_pem, paths.certificate)
        return load(folder)
    except BaseException:
        for path in (paths.certificate, paths.authority):
            if path in earlier:
                codec.write_bytes(earlier[path], path)
            else:
                path.unlink(missing_ok=True)
        raise
