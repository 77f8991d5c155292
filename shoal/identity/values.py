"""A party of a fleet, and the folder by which a process shows that it is one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

Role = Literal["device", "coordinator"]

CERTIFICATE, KEY, AUTHORITY, REVOKED = "certificate.pem", "key.pem", "authority.pem", "revoked.json"


@dataclass(frozen=True)
class Party:
    """Who somebody is, as their certificate says."""

    fleet: str
    name: str
    role: Role

    def __str__(self) -> str:
        return f"{self.role} '{self.name}' of fleet '{self.fleet}'"


@dataclass(frozen=True)
class Paths:
    """The files of an identity."""

    certificate: Path
    key: Path
    authority: Path
    revoked: Path  # serial numbers nobody trusts any more; need not exist

    @staticmethod
    def of(folder: Path) -> Paths:
        """The files in `folder`, whether they are there or not."""
        return Paths(folder / CERTIFICATE, folder / KEY, folder / AUTHORITY, folder / REVOKED)


@dataclass(frozen=True)
class Identity:
    """A party that this process can prove to be. The key itself stays in its file."""

    folder: Path
    party: Party
    paths: Paths
    not_before: datetime  # of the certificate, with its time zone
    not_after: datetime
