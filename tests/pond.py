"""A fleet named pond, for tests: its authority, and an identity for every party that is asked for, made once."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from shoal.identity import Authority, Role, authority
from shoal.program import CLIENT

TLS = "tcp:identity=@"  # a transport whose identity `own` fills in


def pond(fleet: str = "pond") -> Authority:
    """The authority; another name is another fleet."""
    return _authority(fleet)


def member(name: str, role: Role = "device", fleet: str = "pond") -> Path:
    """The identity folder of a party."""
    return _member(name, role, fleet)


@cache
def _authority(fleet: str) -> Authority:
    scratch = Path(tempfile.mkdtemp(prefix="shoal-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    return authority.create(scratch / fleet, fleet)


@cache
def _member(name: str, role: Role, fleet: str) -> Path:
    of = pond(fleet)
    return of.identity(of.folder / f"{role}-{name}", name, role).folder


def identity_of(party: str) -> Path:
    """The identity that may speak for a party of a program: "a/cpu" needs device "a"."""
    return member("desk", "coordinator") if party == CLIENT else member(party.partition("/")[0])


def own(transport: str, party: str) -> str:
    """The transport as `party` is given it."""
    return transport.replace("@", str(identity_of(party))) if "@" in transport else transport
