"""Serial numbers of certificates that nobody trusts any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shoal import codec


@dataclass(frozen=True)
class Revoked:
    """What the file `revoked.json` of an authority, and of an identity, holds."""

    serials: tuple[str, ...] = ()  # hexadecimal, lower case


def serial_text(serial: int) -> str:
    """A serial number as it is kept."""
    return f"{serial:x}"


def read_revoked(path: Path) -> frozenset[str]:
    """The serial numbers in the file `path`; none if there is no such file.

    Raises:
        InputError: the file is there and cannot be read: then nobody is trusted.
    """
    return frozenset(codec.load(Revoked, path).serials) if path.exists() else frozenset()


def write_revoked(serials: Iterable[str], path: Path) -> None:
    """Keep `serials` in the file `path`; connections that are made from now on look there."""
    codec.save(Revoked(tuple(sorted(serials))), path)
