"""Invitations: a token that lets one device, in one name and once, ask for a certificate.

The authority keeps no more than a hash of the token's secret, when it ends, and whether it was used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from shoal import codec
from shoal.errors import InputError, WireError
from shoal.identity import _x509
from shoal.identity.authority import Authority
from shoal.identity.names import check_name

PREFIX = "shoal1-"
FOLDER = "invitations"
MAX_TOKEN_LETTERS = 2048
_REMEMBERED_S = 7 * 86400.0  # how long it is still known why a token is refused


@dataclass(frozen=True)
class Invitation:
    """What a token says."""

    fleet: str
    name: str
    address: str  # of the hub, "host:port"
    authority_sha256: str  # of its certificate (DER), hexadecimal
    secret: str = field(repr=False)


@dataclass(frozen=True)
class _Kept:
    """What the authority knows of a token."""

    name: str
    expires_s: float  # Unix seconds
    used: bool = False


def invite(authority: Authority, name: str, address: str, minutes: float = 60) -> str:
    """A token for one device to join in `name`; whoever has it may.

    Raises:
        InputError: no name for a party, or somebody has a certificate in it.
    """
    check_name(name)
    if authority.holder(name) is not None:
        raise InputError(
            "somebody has a certificate in that name", where=name,
            hint=f"choose another name, or first: shoal fleet revoke {name}",
        )  # fmt: skip
    secret = secrets.token_urlsafe(24)
    with authority.locked():
        _tidy(authority)
        kept = _Kept(name, _x509.now().timestamp() + 60 * minutes)
        codec.save(kept, authority.folder / FOLDER / f"{_hash(secret)}.json")
    text = codec.encode(Invitation(authority.fleet, name, address, authority.fingerprint, secret))
    return PREFIX + base64.urlsafe_b64encode(text).decode().rstrip("=")


def pending(authority: Authority) -> tuple[str, ...]:
    """The names that somebody may still join in."""
    kept = [codec.load(_Kept, path) for path in (authority.folder / FOLDER).glob("*.json")]
    here_s = _x509.now().timestamp()
    return tuple(sorted({each.name for each in kept if not each.used and each.expires_s > here_s}))


def read(token: str) -> Invitation:
    """What `token` says.

    Raises:
        InputError: not a token. Nothing of it is in the message.
    """
    token = "".join(token.split())
    wrong = InputError("not an invitation", needed=f"what shoal fleet invite printed, {PREFIX}…")
    if not token.startswith(PREFIX) or len(token) > MAX_TOKEN_LETTERS:
        raise wrong
    body = token.removeprefix(PREFIX)
    try:
        text = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        found = codec.decode(Invitation, text, "invitation")
    except (binascii.Error, ValueError, InputError):
        raise wrong from None
    check_name(found.name)
    return found


def redeem(authority: Authority, secret: str, name: str) -> None:
    """Use an invitation up.

    Raises:
        WireError: it is unknown, used already, expired, or for another name; only success uses it up.
    """
    with authority.locked():
        path, kept = _find(authority, secret, name)
        here = _x509.now()
        if kept.name != name:
            raise WireError("the invitation is for another name", where=name)
        if kept.used:
            raise WireError("the invitation was used already", where=name, hint="ask for a new one")
        if kept.expires_s <= here.timestamp():
            raise WireError(
                "the invitation has expired", where=name, had=f"{_x509.moment(here)} by the authority's clock",
                hint="ask for a new one",
            )  # fmt: skip
        codec.save(_Kept(kept.name, kept.expires_s, used=True), path)


def _find(authority: Authority, secret: str, name: str) -> tuple[Path, _Kept]:
    """The invitation with that secret; all are compared, so the time tells nothing."""
    wanted, found = _hash(secret), None
    for path in (authority.folder / FOLDER).glob("*.json"):
        if hmac.compare_digest(path.stem, wanted):
            found = path
    if found is None:
        raise WireError("there is no such invitation", where=name, hint="it may be of another fleet, or cut short")
    return found, codec.load(_Kept, found)


def _tidy(authority: Authority) -> None:
    """Forget what expired long ago."""
    for path in (authority.folder / FOLDER).glob("*.json"):
        if codec.load(_Kept, path).expires_s + _REMEMBERED_S < _x509.now().timestamp():
            path.unlink(missing_ok=True)


def _hash(secret: str) -> str:
    return hashlib.sha256(b"shoal invitation\n" + secret.encode(errors="replace")).hexdigest()
