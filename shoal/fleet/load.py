"""A fleet file to a Fleet, with every fault of the file in one error."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.catalog import nearest
from shoal.errors import FleetError
from shoal.fleet.faults import Fault, refuse
from shoal.fleet.values import Device, Fleet, Link

if TYPE_CHECKING:
    from shoal.fleet.schema import DefaultLinkRow, LinkRow

Groups = Mapping[str, tuple[str, ...]]  # key of [devices.KEY] -> the devices it stands for


def load(path: str | Path) -> Fleet:
    """The fleet described in the TOML file `path`.

    Raises:
        UnitError: figures without their unit, or with the wrong one, and nothing else is wrong.
        FleetError: the file cannot be read, or anything else in it is wrong; all faults are listed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as fault:
        raise FleetError(f"cannot read: {fault.strerror}", where=str(path)) from fault
    except UnicodeDecodeError as fault:
        raise FleetError("not a text file", where=str(path), needed="TOML in UTF-8") from fault
    return loads(text, str(path))


def loads(text: str, source: str = "") -> Fleet:
    """The fleet described by TOML `text`; `source` names its origin in errors.

    Raises:
        UnitError: figures without their unit, or with the wrong one, and nothing else is wrong.
        FleetError: anything else is wrong; all faults are listed.
    """
    from shoal.fleet.schema import FileRow, check

    table = _toml(text, source)
    row, faults = check(FileRow, table)
    tables = table.get("devices")
    devices, groups, found = _devices(tables if isinstance(tables, dict) else {})
    faults += found
    links = _links(row.links, groups, faults) if row else ()
    refuse(faults, source)
    default = row.default_link if row else None
    return Fleet(devices, links, _link(default, ()) if default else None, source)


def _toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        raise FleetError(f"not TOML: {fault}", where=source or None) from fault


def _devices(tables: Mapping[str, Any]) -> tuple[tuple[Device, ...], Groups, list[Fault]]:
    from shoal.fleet.devices import group_devices, group_names

    devices: list[Device] = []
    faults: list[Fault] = []
    taken: set[str] = set()
    groups = {name: group_names(name, table) for name, table in tables.items()}
    for name, table in tables.items():
        if isinstance(table, dict):
            made, found = group_devices(name, table)
            devices += made
            faults += found
        twice = sorted(taken.intersection(groups[name]))
        faults += [Fault(f"devices.{name}", f"device '{one}' is described twice") for one in twice]
        taken.update(groups[name])
    return tuple(devices), groups, faults


def _links(rows: list[LinkRow], groups: Groups, faults: list[Fault]) -> tuple[Link, ...]:
    """The links with groups counted out; what is wrong with them is added to `faults`."""
    links: list[Link] = []
    for index, row in enumerate(rows):
        at = f"links.{index}"
        link = _link(row, _members(row.members, groups, f"{at}.members", faults), f"link-{index}")
        if any(link.name == other.name for other in links):
            faults.append(Fault(f"{at}.name", f"link '{link.name}' is described twice"))
        links.append(link)
    return tuple(links)


def _link(row: DefaultLinkRow, members: tuple[str, ...], name: str = "") -> Link:
    return Link(row.name or name, members, row.bandwidth, row.latency, row.energy, row.shared)


def _members(names: list[str], groups: Groups, at: str, faults: list[Fault]) -> tuple[str, ...]:
    single = {device: (device,) for devices in groups.values() for device in devices}
    known = {**groups, **single}
    for name in names:
        if name not in known:
            faults.append(Fault(at, f"no device '{name}'", hint=nearest(name, known)))
    members = tuple(member for name in names for member in known.get(name, (name,)))
    for member in sorted({member for member in members if members.count(member) > 1}):
        faults.append(Fault(at, f"device '{member}' is named twice"))
    if len(members) < 2:
        faults.append(Fault(at, "too few members", "two devices or more", f"{len(members)}"))
    return members
