"""A device's way to the hub before and beside the control plane: who is it, let me in, where do you see me."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from shoal import codec
from shoal.agent.way import Way, unknown
from shoal.errors import WireError, WorkError
from shoal.fleet import Link

PATIENCE_S = 10.0
CLOCK_OFF_S = 120.0  # beyond it certificates may seem not to be valid yet, or no longer
MOST_BYTES = 64 << 10  # of an answer
TRIES = 5


class Unreachable(WireError):
    """The hub does not answer: it may later."""


@dataclass(frozen=True)
class Hello:
    """What the hub says to a device."""

    host: str  # where it sees the device
    time_s: float  # Unix seconds
    version: str
    protocol: int
    control_port: int
    revoked: tuple[str, ...] = ()  # serial numbers of certificates nobody trusts any more


@dataclass(frozen=True)
class Enrolment:
    """What a device asks for."""

    name: str
    secret: str
    request: str  # for a certificate, PEM


@dataclass(frozen=True)
class Enrolled:
    """What it gets."""

    certificate: str  # PEM


def authority_of(address: str, sha256: str) -> str:
    """The authority's certificate, PEM, from a hub nobody knows yet: right if its SHA-256 is that of the token.

    Args:
        address: "https://host:port".
        sha256: of the certificate's DER, in hex.

    Raises:
        WireError: nobody answers, or it is another fleet's hub.
        WorkError: this device's clock is off, so that no certificate would be believed.
    """
    body, date = _ask(unknown(address), "GET", "/authority")
    try:
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(body.decode("ascii"))).hexdigest()
    except ValueError as fault:
        raise WireError("what answers there is no hub", where=address) from fault
    if not hmac.compare_digest(found, sha256):
        raise WireError(
            "this is not the hub that the token is for", where=address, needed=f"authority {sha256[:16]}…",
            had=f"{found[:16]}…", hint="nothing was told to it; ask for a new token",
        )  # fmt: skip
    check_clock(date, address)
    return body.decode("ascii")


def enrol(way: Way, asked: Enrolment) -> Enrolled:
    """What the hub gives for an invitation.

    Raises:
        WireError: nobody answers, it is not our hub, or it refuses: a token that is wrong, used or expired.
    """
    return codec.decode(Enrolled, _ask(way, "POST", "/enrol", codec.encode(asked))[0], way.address)


def hello(way: Way) -> Hello:
    """What the hub says to this device.

    Raises:
        Unreachable: nobody answers.
        WireError: it is not our hub, or it refuses this device.
        WorkError: this device's clock is off.
    """
    body, date = _ask(way, "GET", "/hello")
    check_clock(date, way.address)
    return codec.decode(Hello, body, way.address)


def link(way: Way) -> Link:
    """The way from the hub, as a link: latency is half the shortest round trip, bandwidth that of the best try.

    Raises:
        WireError: nobody answers, or it refuses.
    """
    connection = way.connection(PATIENCE_S)
    try:
        _timed(connection, "/hello")  # shakes hands
        round_trip_s = min(_timed(connection, "/hello")[0] for _ in range(TRIES))
        tries = [_timed(connection, "/link") for _ in range(TRIES)]
    except (OSError, http.client.HTTPException) as fault:
        raise _unreachable(way.address, fault) from fault
    finally:
        connection.close()
    rate = max(size / max(took_s - round_trip_s, took_s / 2) for took_s, size in tries)
    return Link("to the hub", (), float(f"{rate:.3g}"), float(f"{round_trip_s / 2:.3g}"))


def check_clock(date: str, address: str) -> None:
    """Compare the clocks.

    Raises:
        WorkError: they are minutes apart.
    """
    try:
        off_s = time.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:  # it said no time
        return
    if abs(off_s) > CLOCK_OFF_S:
        apart = f"{abs(off_s) / 3600:.1f} hours" if abs(off_s) >= 7200 else f"{abs(off_s) / 60:.0f} minutes"
        raise WorkError(
            f"this device's clock is {apart} {'ahead of' if off_s > 0 else 'behind'} the hub's", where=address,
            hint="set it, or let it be set: timedatectl set-ntp true",
        )  # fmt: skip


def _ask(way: Way, method: str, path: str, body: bytes | None = None) -> tuple[bytes, str]:
    """The body of the answer, and when the hub gave it."""
    connection = way.connection(PATIENCE_S)
    try:
        connection.request(method, path, body=body)
        response = connection.getresponse()
        content, date = response.read(MOST_BYTES), response.getheader("Date", "")
    except ssl.SSLCertVerificationError as fault:
        raise _not_ours(way.address, fault) from fault
    except (OSError, http.client.HTTPException) as fault:
        raise _unreachable(way.address, fault) from fault
    finally:
        connection.close()
    if response.status != http.client.OK:
        words = content[:1000].decode(errors="replace").strip()
        raise WireError(f"the hub refuses: {words or response.status}", where=way.address)
    return content, date


def _timed(connection: http.client.HTTPSConnection, path: str) -> tuple[float, int]:
    start_s = time.perf_counter()
    connection.request("GET", path)
    size = len(connection.getresponse().read())
    return time.perf_counter() - start_s, size


def _not_ours(address: str, fault: ssl.SSLCertVerificationError) -> WireError | WorkError:
    """Why the hub's certificate was not believed: rather our clock, if that is it."""
    try:
        check_clock(_ask(unknown(address), "GET", "/authority")[1], address)
    except WorkError as off:
        return off
    return WireError(f"not the hub of our fleet: {fault.verify_message}", where=address)


def _unreachable(address: str, fault: Exception) -> WireError:
    text = str(fault)
    if isinstance(fault, ssl.SSLError) and ("ALERT" in text.upper() or "alert" in text):
        return WireError(
            f"the hub does not take this device's certificate: {fault.reason or text}", where=address,
            hint="it may be expired, revoked, or of another fleet; ask for a new token",
        )  # fmt: skip
    hint = "is `shoal fleet open` running there?"
    return Unreachable(
        f"the hub cannot be reached: {getattr(fault, 'strerror', None) or text}", where=address, hint=hint
    )
