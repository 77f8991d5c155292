"""An identity from its folder, refused with a reason if others would not believe it."""

from __future__ import annotations

from pathlib import Path

from shoal.errors import InputError
from shoal.identity._x509 import certificate_of, check_chain, key_of, party_in, read
from shoal.identity.values import Identity, Paths


def load(folder: Path) -> Identity:
    """The identity in `folder`, checked.

    Raises:
        MissingExtra: cryptography is not installed.
        InputError: a file is missing or is not what it should be, the key does not belong to the certificate, the
            certificate is of another authority, or it is not valid now by this machine's clock.
    """
    paths = Paths.of(folder)
    certificate = certificate_of(read(paths.certificate), str(paths.certificate))
    authority = certificate_of(read(paths.authority), str(paths.authority))
    party = party_in(certificate, str(paths.certificate))
    check_chain(certificate, authority, str(paths.certificate))
    if key_of(paths.key).public_key() != certificate.public_key():
        raise InputError(
            "the key does not belong to the certificate", where=str(paths.key), needed=f"the key of {party}",
            hint="both come from one request: join again",
        )  # fmt: skip
    return Identity(folder, party, paths, certificate.not_valid_before_utc, certificate.not_valid_after_utc)
