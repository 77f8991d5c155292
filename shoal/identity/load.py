"""An identity from its folder, refused with a reason if others would not believe it.

A worker should not pay the memory of a cryptographic library for that. The standard library checks all that
counts when an identity shakes hands with itself; only if that fails is a library needed, to say why.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from shoal.errors import InputError, WireError
from shoal.identity import _x509, contexts
from shoal.identity.values import Identity, Paths


def load(folder: Path) -> Identity:
    """The identity in `folder`, checked.

    Raises:
        InputError: a file is missing or is not what it should be, the key does not belong to the certificate, the
            certificate is of another authority, or it is not valid now by this machine's clock.
        MissingExtra: it is not right, and cryptography is not installed to say what is wrong.
    """
    paths = Paths.of(folder)
    for path in (paths.certificate, paths.authority, paths.key):
        _x509.read(path)
    _x509.check_private(paths.key)
    return _shaken(paths) or _read(paths)


def _shaken(paths: Paths) -> Identity | None:
    """The identity, if it believes itself."""
    try:
        caller, called = (contexts.bare(each) for each in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER))
        for context in (caller, called):
            contexts.equip(context, paths)
        shown = _handshake(caller, called)
        party = contexts.party_of(shown)
    except (ssl.SSLError, InputError, WireError):
        return None
    found = shown.getpeercert() or {}
    begin, end = (_time(str(found[key])) for key in ("notBefore", "notAfter"))
    return Identity(paths.certificate.parent, party, paths, begin, end) if begin <= _x509.now() <= end else None


def _handshake(caller: ssl.SSLContext, called: ssl.SSLContext) -> ssl.SSLObject:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    one, two = caller.wrap_bio(down, up), called.wrap_bio(up, down, server_side=True)
    for end in (one, two, one, two):  # TLS 1.3 needs no more turns
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return two


def _read(paths: Paths) -> Identity:
    """The identity, or what is wrong with it."""
    certificate = _x509.certificate_of(_x509.read(paths.certificate), str(paths.certificate))
    authority = _x509.certificate_of(_x509.read(paths.authority), str(paths.authority))
    party = _x509.party_in(certificate, str(paths.certificate))
    _x509.check_chain(certificate, authority, str(paths.certificate))
    if _x509.key_of(paths.key).public_key() != certificate.public_key():
        raise InputError(
            "the key does not belong to the certificate", where=str(paths.key), needed=f"the key of {party}",
            hint="both come from one request: join again",
        )  # fmt: skip
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Identity(paths.certificate.parent, party, paths, begin, end)


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
