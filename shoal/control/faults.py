"""Why a device cannot be asked, or did not answer."""

from __future__ import annotations

from shoal.control.values import Sighting
from shoal.errors import WireError


def check_there(device: str, sighting: Sighting | None) -> None:
    """Refuse to ask a device that is not there or not used.

    Raises:
        WireError: it is so; with the reason.
    """
    if sighting is None:
        raise WireError("this device was never seen", where=device, hint="run `shoal join` on it")
    if sighting.refused:
        raise WireError(f"this device is not used: {sighting.refused}", where=device)
    if not sighting.present:
        raise WireError("this device is gone", where=device)


def late(device: str, timeout_s: float) -> WireError:
    """It had its time."""
    return WireError("does not answer", where=device, needed=f"an answer within {timeout_s:g} s")


def left(device: str) -> WireError:
    """It was there when it was asked."""
    return WireError("left before it answered", where=device)
