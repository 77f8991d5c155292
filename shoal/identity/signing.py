"""Signatures of coordinators: a device does nothing its fleet's coordinator did not ask for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection

from shoal.errors import WireError
from shoal.identity import _x509
from shoal.identity.revoked import serial_text
from shoal.identity.values import Identity, Party

_PURPOSE = b"shoal signature 1\n"  # no other use of the key signs what begins like this


def sign(identity: Identity, data: bytes) -> str:
    """The signature of `identity` over `data`, base64.

    Raises:
        InputError: the key cannot be read.
    """
    key = _x509.key_of(identity.paths.key)
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    return base64.b64encode(key.sign(_PURPOSE + data, ec.ECDSA(hashes.SHA256()))).decode()


def verify(
    authority_pem: bytes, signer_pem: bytes, data: bytes, signature: str, revoked: Collection[str] = ()
) -> Party:
    """Which coordinator signed `data`.

    Args:
        authority_pem: the certificate of our fleet's authority.
        signer_pem: the certificate the signer says is its own.
        data: what was signed.
        signature: what `sign` gave.
        revoked: serial numbers nobody trusts any more, as `read_revoked` gives them.

    Raises:
        WireError: the certificate is of another authority, not valid now, revoked or not a coordinator's, or the
            signature is not over this data.
    """
    signer = _x509.certificate_of(signer_pem, "signer", WireError)
    authority = _x509.certificate_of(authority_pem, "authority", WireError)
    _x509.check_chain(signer, authority, "signer", WireError)
    party = _x509.party_in(signer, "signer", WireError)
    if party.role != "coordinator":
        raise WireError("may not sign", where=party.name, needed="a coordinator", had=f"a {party.role}")
    if serial_text(signer.serial_number) in revoked:
        raise WireError("its certificate was revoked", where=party.name)
    _check(signer_key=signer.public_key(), data=data, signature=signature, where=party.name)
    return party


def _check(signer_key: object, data: bytes, signature: str, where: str) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        if not isinstance(signer_key, ec.EllipticCurvePublicKey):
            raise ValueError("another kind of key")
        given = base64.b64decode(signature, validate=True)
        signer_key.verify(given, _PURPOSE + data, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error, ValueError) as fault:
        raise WireError("the signature is not over what came", where=where) from fault
