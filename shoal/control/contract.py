"""The two ends of a control plane: a Desk on each device, and the Control of a coordinator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from shoal.control.values import Announcement, Reply, Request, Sighting, Vitals


class Desk(Protocol):
    """A device's end. Safe to use from several threads."""

    def announce(self, announcement: Announcement) -> None:
        """Be there: from now on until `close`, or until this process is gone or frozen for about a second."""

    def tell(self, vitals: Vitals) -> None:
        """Say how the device is."""

    def answer(self, handler: Callable[[Request], Reply]) -> None:
        """Let `handler` answer requests of coordinators, each on a thread of its own.

        Whatever ShoalError it raises goes back as Failed. Requests of anyone but a coordinator of this fleet are
        refused and logged before the handler sees them.
        """

    def close(self) -> None:
        """Be gone; coordinators hear of it at once."""


class Control(Protocol):
    """A coordinator's end. Safe to use from several threads."""

    def sightings(self) -> Mapping[str, Sighting]:
        """All devices that were ever seen in this session, by name."""

    def watch(self, changed: Callable[[Sighting], None]) -> None:
        """Call `changed` whenever a device comes, goes, or announces itself anew; from a thread of the control's."""

    def ask(self, device: str, request: Request, timeout_s: float) -> Reply:
        """Ask a device and wait for its reply.

        Raises:
            WireError: it is not there, or does not answer in time; or it answers with Failed.
        """

    def close(self) -> None:
        """End the session."""
