"""The coordinator's fleets: their folders, and where their hubs are."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from shoal import codec, control
from shoal.control import Control, open_control
from shoal.errors import InputError
from shoal.identity import Authority, Identity, Role, authority, fleet_folder, invitation, load

COORDINATOR, NOTE_FILE = "coordinator", "hub.json"
PORT = 7446  # of the hub's files; its control plane has the next one
KEY_FILE = "authority.key"


@dataclass(frozen=True)
class HubNote:
    """Where the hub listens, as it said when it was opened."""

    control: str  # "tls/host:port", as this machine reaches it
    files: str  # "host:port", as devices reach it


def create(name: str) -> Authority:
    """Make a fleet: its authority, and this machine's identity as its coordinator.

    Raises:
        InputError: no name for a fleet, or there is one.
        MissingExtra: cryptography is not installed.
    """
    made = authority.create(fleet_folder(name), name)
    made.identity(fleet_folder(name) / COORDINATOR, COORDINATOR, "coordinator")
    return made


def find(name: str = "") -> Authority:
    """The authority of the fleet `name`, or of the only one this machine coordinates.

    Raises:
        InputError: there is none, or more than one.
    """
    places = sorted(fleet_folder(name or "any").parent.glob(f"{name or '*'}/{KEY_FILE}"))
    if not places:
        what = f"no fleet '{name}'" if name else "no fleet"
        raise InputError(f"this machine coordinates {what}", hint="make one: shoal fleet init")
    if len(places) > 1:
        had = ", ".join(place.parent.name for place in places)
        raise InputError("this machine coordinates several fleets", had=had, hint="say which: --fleet NAME")
    return authority.open(places[0].parent)


def coordinator(name: str = "") -> Identity:
    """This machine's identity as coordinator of the fleet.

    Raises:
        InputError: there is none, or it is not valid now.
    """
    return load(find(name).folder / COORDINATOR)


def note(fleet: Authority) -> HubNote:
    """Where the fleet's hub was opened last.

    Raises:
        InputError: it never was.
    """
    path = fleet.folder / NOTE_FILE
    if not path.is_file():
        raise InputError("this fleet's hub was never opened", where=fleet.fleet, hint="shoal fleet open")
    return codec.load(HubNote, path)


def connect(name: str = "") -> Control:
    """A coordinator's end of the control plane of a fleet whose hub is open on this machine.

    Raises:
        InputError: there is no such fleet, or its hub was never opened.
        WireError: the hub is not open.
    """
    fleet = find(name)
    return open_control(load(fleet.folder / COORDINATOR), note(fleet).control)


def invite(fleet: Authority, name: str, minutes: float, address: str = "") -> str:
    """A token for the device `name`; `address`: of the hub as the device reaches it, if not as it was opened.

    Raises:
        InputError: no name, or somebody has it; or the hub was never opened and no address is given.
    """
    return invitation.invite(fleet, name, address or note(fleet).files, minutes)


def revoke(fleet: Authority, name: str) -> tuple[str, ...]:
    """Take the device's certificates back; their serial numbers. An open hub hears of it within seconds.

    Raises:
        InputError: nobody has one in that name, or it is the coordinator's.
    """
    if name == COORDINATOR:
        raise InputError("nobody would be left to coordinate the fleet", where=name)
    return fleet.revoke(name)


def own_host() -> str:
    """This machine's address on the network it would use; the loopback address if it is on none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing: an address for documents
        except OSError:
            return "127.0.0.1"
        return str(sock.getsockname()[0])


def members(fleet: Authority) -> dict[str, Role]:
    """Who may take part: all with a certificate, and those who are invited."""
    invited: dict[str, Role] = dict.fromkeys(invitation.pending(fleet), "device")
    return invited | control.members(fleet)
