"""Where a plan's devices are: in a file, on this machine, or in a living fleet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.errors import FleetError
from shoal.fleet import Fleet, load

if TYPE_CHECKING:
    from shoal.live.ground import Ground
    from shoal.plan import Plan

LIVE = "live"


def fleet(where: Path) -> Fleet:
    """The fleet of a file; of `live`, or `live:NAME`, the devices that are there now.

    Raises:
        FleetError: the file makes no sense, or nobody is there.
    """
    if not is_live(str(where)):
        return load(where)
    with _living(str(where)) as ground:
        there = ground.present()
        known = ground.fleet()
    devices = tuple(device for device in known.devices if device.name in there)
    if not devices:
        raise FleetError("no device is there", where=str(where), hint="shoal fleet shows who was seen, and why not")
    links = tuple(link for link in known.links if set(link.members) <= there)
    return Fleet(devices, links, known.default_link, source=str(where))


def is_live(where: str) -> bool:
    """Whether a fleet is a living one, rather than a file's."""
    return where.partition(":")[0] == LIVE


@contextmanager
def of(plan: Plan, over: str, *, emulate: bool) -> Iterator[Ground]:
    """What the plan stands on: the living fleet it was made for, else processes here.

    Raises:
        InputError: this machine coordinates no such fleet.
        WireError: its hub is not open.
    """
    from shoal.live.ground import ThisMachine
    from shoal.run import Settings

    if is_live(plan.fleet.source) and not emulate:
        with _living(plan.fleet.source) as ground:
            yield ground
    else:
        yield ThisMachine(plan, Settings(over=over, emulate=emulate))


@contextmanager
def _living(where: str) -> Iterator[Ground]:
    from shoal.agent import fleets
    from shoal.cli import presence
    from shoal.live.living import LivingFleet

    name = where.partition(":")[2]
    control = fleets.connect(name)
    try:
        presence.settle(control)
        yield LivingFleet(control, fleets.coordinator(name))
    finally:
        control.close()
