"""Names of fleets and parties, and where fleets are kept."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path

from shoal.errors import InputError

MOST_LETTERS = 63
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def check_name(name: str, what: str = "name") -> str:
    """`name`, if a certificate can hold it: it is also a host name there.

    Raises:
        InputError: it is too long, or has other characters, or is the address of a host.
    """
    needed = f"letters, digits, dashes and dots, at most {MOST_LETTERS}"
    if len(name) > MOST_LETTERS or not _NAME.fullmatch(name):
        raise InputError(f"not a {what}", where=repr(name[: MOST_LETTERS + 1]), needed=needed)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name
    raise InputError(f"not a {what} but an address", where=repr(name), needed=needed)


def fleet_folder(fleet: str) -> Path:
    """Where the fleet of that name is kept: below `SHOAL_FLEETS`, or `~/.config/shoal/fleets`.

    Raises:
        InputError: no name for a fleet.
    """
    root = os.environ.get("SHOAL_FLEETS")
    place = Path(root) if root else Path.home() / ".config" / "shoal" / "fleets"
    return place / check_name(fleet, "fleet's name")
