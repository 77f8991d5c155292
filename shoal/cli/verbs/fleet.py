"""Show who is in a living fleet; make one, open it, invite devices."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated, Literal

import typer

from shoal.cli import options
from shoal.errors import InputError

EXAMPLES = (
    "shoal fleet init --name home",
    "shoal fleet open",
    "shoal fleet invite pi-1",
    "shoal fleet",
    "shoal fleet --once --json",
    "shoal fleet revoke pi-1",
)
DEFAULT_NAME = "home"
Action = Literal["", "init", "open", "invite", "revoke"]


def command(
    action: Annotated[
        Action, typer.Argument(metavar="[init|open|invite|revoke]", help="what to do; none: show who is there")
    ] = "",
    device: Annotated[str, typer.Argument(metavar="NAME", help="invite, revoke: the device's name")] = "",
    fleet: Annotated[
        str, typer.Option("--name", "--fleet", metavar="NAME", help="the fleet; the only one if none")
    ] = "",
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="open: where; the control plane has the next port")
    ] = "0.0.0.0:7446",
    minutes: Annotated[float, typer.Option(min=0.0, help="invite: how long the token is good")] = 60.0,
    at: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="invite: the hub as the device reaches it, if not as opened")
    ] = "",
    once: Annotated[bool, typer.Option("--once", help="show the fleet once instead of going on")] = False,
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Show who is in a living fleet; make one, open its hub, invite and revoke devices."""
    if device and action not in ("invite", "revoke"):
        raise InputError(f"'{device}' is too much", where=f"shoal fleet {action}".strip())
    if not device and action in ("invite", "revoke"):
        raise InputError("which device?", where=f"shoal fleet {action}", hint=f"shoal fleet {action} NAME")
    match action:
        case "init":
            _init(fleet or DEFAULT_NAME, json=json)
        case "open":
            _open(fleet, listen, json=json)
        case "invite":
            _invite(fleet, device, minutes, at, json=json)
        case "revoke":
            _revoke(fleet, device, json=json)
        case _:
            _show(fleet, once=once, json=json)


def _init(name: str, *, json: bool) -> None:
    from shoal.agent import fleets

    made = fleets.create(name)
    if json:
        options.emit({"fleet": name, "folder": str(made.folder), "authority_sha256": made.fingerprint})
        return
    sys.stdout.write(f"fleet '{name}' is in {made.folder}: keep that folder to yourself, and a copy of it safe\n")
    sys.stdout.write("next: `shoal fleet open` here, and `shoal fleet invite NAME` for each device\n")


def _open(name: str, listen: str, *, json: bool) -> None:
    import logging

    from shoal.agent import fleets
    from shoal.agent.house import House
    from shoal.agent.stopping import told_to_stop

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    with told_to_stop() as stop, contextlib.closing(House(fleets.find(name), listen)) as house:
        house.control.watch(_tell)
        if json:
            options.emit({"open": {"files": house.note.files, "control": house.note.control}})
        else:
            sys.stdout.write(f"open: devices join at {house.note.files}; stop with Ctrl-C\n")
        sys.stdout.flush()
        stop.wait()


def _tell(sighting: object) -> None:
    """One line of the log for whoever comes or goes."""
    import logging

    from shoal.control import Sighting

    assert isinstance(sighting, Sighting)
    state = sighting.refused or ("is there" if sighting.present else "is gone")
    logging.getLogger("shoal.fleet").info("%s %s", sighting.name, state)


def _invite(name: str, device: str, minutes: float, at: str, *, json: bool) -> None:
    from shoal.agent import fleets

    token = fleets.invite(fleets.find(name), device, minutes, at)
    if json:
        options.emit({"name": device, "token": token, "minutes": minutes})
        return
    sys.stdout.write(f"{token}\n")
    sys.stderr.write(f"good once, for {minutes:g} minutes, for whoever has it; on the device: shoal join TOKEN\n")


def _revoke(name: str, device: str, *, json: bool) -> None:
    from shoal.agent import fleets

    serials = fleets.revoke(fleets.find(name), device)
    if json:
        options.emit({"name": device, "serials": list(serials)})
        return
    sys.stdout.write(f"{device} is out: an open hub shows it the door within seconds\n")


def _show(name: str, *, once: bool, json: bool) -> None:
    from shoal.agent import fleets
    from shoal.cli import presence

    control = fleets.connect(name)
    try:
        presence.settle(control)
        if json:
            options.emit(presence.facts(control.sightings()))
        elif once or not sys.stdout.isatty():
            presence.show(control.sightings())
        else:
            presence.follow(control)
    finally:
        control.close()
