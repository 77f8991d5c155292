"""What is wrapped around a format: a format again."""

from __future__ import annotations

from typing import Protocol

from shoal.formats.contract import Format


class Composer(Protocol):
    """A technique of `formats/composers`: its fields are its options."""

    def around(self, base: Format) -> Format:
        """The composed format."""
