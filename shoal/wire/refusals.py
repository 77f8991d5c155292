"""What a failed TLS handshake means, in words: who refused whom, and what to do about it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from shoal.errors import WireError
from shoal.identity import Identity

_NOT_YET, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, …_HAS_EXPIRED
_CLOCKS = "compare the clocks of both machines; a new certificate: shoal fleet invite"
_FLEETS = "both must have joined the same fleet: shoal join"
BOTH_SIDES = "give both sides an identity: tcp:identity=FOLDER"

# What the peer said of us, by OpenSSL's name of the alert.
_ALERTS = {
    "UNKNOWN_CA": ("does not know the authority of our certificate", _FLEETS),
    "BAD_CERTIFICATE": ("says our certificate is not valid, or not yet", _CLOCKS),
    "CERTIFICATE_EXPIRED": ("says our certificate has expired", _CLOCKS),
    "CERTIFICATE_REVOKED": ("says our certificate was revoked", _FLEETS),
    "CERTIFICATE_REQUIRED": ("wants a certificate", BOTH_SIDES),
    "CERTIFICATE_UNKNOWN": ("does not accept our certificate", _FLEETS),
    "PROTOCOL_VERSION": ("has no version of TLS in common with us", "both sides need TLS 1.3"),
}
# What we found, by OpenSSL's name.
_FOUND = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": ("showed no certificate", BOTH_SIDES),
    "UNSUPPORTED_PROTOCOL": ("has no version of TLS in common with us", "both sides need TLS 1.3"),
    "WRONG_VERSION_NUMBER": ("does not speak TLS", BOTH_SIDES),
    "HTTP_REQUEST": ("does not speak TLS", BOTH_SIDES),
    "RECORD_LAYER_FAILURE": ("does not speak TLS", BOTH_SIDES),
    "PACKET_LENGTH_TOO_LONG": ("does not speak TLS", BOTH_SIDES),
}


def refusal(fault: ssl.SSLError, identity: Identity) -> WireError:
    """The error that says why TLS with a peer failed; `where` is left to who knows the peer."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return _certificate(fault)
    if isinstance(fault, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return WireError("ended the handshake", hint=BOTH_SIDES)
    reason = fault.reason or ""
    _, alert, name = reason.partition("_ALERT_")
    if alert:
        what, hint = _ALERTS.get(name, (f"refused TLS: {_words(name)}", None))
        clocks = f"{_span(identity)}, and {_now()} by this machine's clock" if hint is _CLOCKS else None
        return WireError(what, had=clocks, hint=hint)
    what, hint = _FOUND.get(reason, (f"broke the rules of TLS: {_words(reason)}", None))
    return WireError(what, hint=hint)


def _certificate(fault: ssl.SSLCertVerificationError) -> WireError:
    if fault.verify_code == _EXPIRED:
        return WireError("its certificate has expired", had=f"{_now()} by this machine's clock", hint=_CLOCKS)
    if fault.verify_code == _NOT_YET:
        return WireError("its certificate is not valid yet", had=f"{_now()} by this machine's clock", hint=_CLOCKS)
    return WireError(f"its certificate is not from our fleet's authority: {fault.verify_message}", hint=_FLEETS)


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ") or "for no reason it said"


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _span(identity: Identity) -> str:
    return f"{identity.not_before:%Y-%m-%d %H:%M} to {identity.not_after:%Y-%m-%d %H:%M} UTC in our certificate"
