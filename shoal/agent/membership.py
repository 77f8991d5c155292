"""Which fleets this device belongs to: enrolled once, found again at every start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shoal import codec
from shoal.agent import joining, way
from shoal.agent.joining import Enrolment
from shoal.errors import InputError
from shoal.identity import Identity, fleet_folder, invitation, load, request

DEVICES, HUB_FILE = "devices", "hub.json"


@dataclass(frozen=True)
class Home:
    """Where the hub of a fleet is."""

    address: str  # "https://host:port"


@dataclass(frozen=True)
class Member:
    """This device in a fleet."""

    identity: Identity
    home: Home


def enrol(token: str) -> Path:
    """Use an invitation up; the folder of the identity it gave.

    The secret is told only to a hub that shows a certificate of the very authority that the token names.

    Raises:
        InputError: not a token, or the identity cannot be written.
        WireError: no hub of that fleet answers, or it refuses: the token is wrong, used or expired.
        WorkError: this device's clock is off.
    """
    invited = invitation.read(token)
    folder, address = fleet_folder(invited.fleet) / DEVICES / invited.name, f"https://{invited.address}"
    authority = joining.authority_of(address, invited.authority_sha256)
    asked = Enrolment(invited.name, invited.secret, request.make(folder, invited.name).decode())
    given = joining.enrol(way.invited(address, authority, invited.fleet), asked)
    request.accept(folder, given.certificate.encode(), authority.encode())
    codec.save(Home(address), folder / HUB_FILE)
    return folder


def found(name: str = "", fleet: str = "") -> Path:
    """The folder of this device's identity: the only one there is, or that of `name` and `fleet`.

    Raises:
        InputError: there is none, or more than one.
    """
    places = sorted(fleet_folder(fleet or "any").parent.glob(f"{fleet or '*'}/{DEVICES}/{name or '*'}/{HUB_FILE}"))
    if not places:
        raise InputError(
            f"this device has not joined {f'as {name!r}' if name else 'a fleet'} yet",
            hint="ask for a token: `shoal fleet invite NAME` on the coordinator's machine, then `shoal join TOKEN`",
        )
    if len(places) > 1:
        had = ", ".join(f"{place.parent.name} of {place.parents[2].name}" for place in places)
        raise InputError("this machine has joined more than once", had=had, hint="say as whom: --name, --fleet")
    return places[0].parent


def member(folder: Path) -> Member:
    """The member whose identity is in `folder`.

    Raises:
        InputError: a file is missing or broken, or the certificate is not valid now.
    """
    return Member(load(folder), codec.load(Home, folder / HUB_FILE))
