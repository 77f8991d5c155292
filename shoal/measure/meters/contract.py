"""What a meter is: start, then stop for the joules in between."""

from __future__ import annotations

from typing import Protocol


class Reading(Protocol):
    """A measurement under way."""

    def stop(self) -> float | None:
        """Joules since the start; None if the meter cannot tell."""


class Meter(Protocol):
    """A technique of `measure/meters`."""

    @property
    def available(self) -> bool:
        """Whether it can tell anything on this machine."""

    def start(self) -> Reading:
        """Begin; several may be under way at once."""
