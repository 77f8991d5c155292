"""Devices from the tables of a fleet file: board filled in, overrides applied, groups counted out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.errors import FleetError
from shoal.fleet.faults import Fault
from shoal.fleet.files import THIS_MACHINE, board_table
from shoal.fleet.nominal import describe, usable_cores
from shoal.fleet.schema import CouplingRow, DeviceRow, LifecycleRow, UnitRow, check
from shoal.fleet.values import RANGED, Coupling, Device, Lifecycle, MacArray, OperatingPoint, Unit
from shoal.units import format_bytes


def group_names(name: str, table: object) -> tuple[str, ...]:
    """The devices a table stands for: "pi" with count 2 gives "pi-0" and "pi-1"."""
    count = table.get("count", 1) if isinstance(table, dict) else 1
    if not isinstance(count, int) or not 1 < count <= 10_000:
        return (name,)
    return tuple(f"{name}-{index}" for index in range(count))


def group_devices(name: str, table: Mapping[str, Any]) -> tuple[tuple[Device, ...], list[Fault]]:
    """The devices of one `[devices.NAME]` table, or none and the faults found in it."""
    at = f"devices.{name}"
    merged, faults = _with_board(table, at)
    row, found = check(DeviceRow, merged, at)
    if faults:  # without its board a device misses nearly everything: say only what else is wrong
        return (), faults + [fault for fault in found if fault.what != "missing"]
    if row is None:
        return (), [_hinted(fault, table) for fault in found]
    found = _contradictions(row, at)
    return (() if found else tuple(device_of(one, row) for one in group_names(name, table))), found


def device_of(name: str, row: DeviceRow) -> Device:
    """The device that a checked table describes."""
    limit = row.memory - row.system_memory if row.memory_limit is None else row.memory_limit
    return Device(
        name=name,
        board=row.board or row.title,
        units=tuple(_unit(unit, each) for unit, each in row.units.items()),
        memory_bytes=row.memory,
        memory_limit_bytes=limit,
        idle_w=row.idle,
        link_j_per_byte=row.link_energy,
        price_usd=row.price,
        stock=row.stock,
        carbon_kg=row.carbon,
        cores=None if row.cores is None else tuple(row.cores),
        address=row.address,
        speed=row.speed,
        coupling=None if row.coupling is None else _coupling(row.coupling),
        lifecycle=None if row.lifecycle is None else _lifecycle(row.lifecycle),
    )


def _coupling(row: CouplingRow) -> Coupling:
    return Coupling(row.kind, row.bandwidth, row.launch, row.host_speed)


def _lifecycle(row: LifecycleRow) -> Lifecycle:
    ranges = {key: (ends[0], ends[1]) for key in RANGED if (ends := getattr(row.ranges, key)) is not None}
    return Lifecycle(row.lifetime, row.grid, row.utilisation, row.pue, row.die_area, row.storage, ranges)


def _unit(name: str, row: UnitRow) -> Unit:
    points, macs = row.operating_points.items(), row.macs
    return Unit(
        name=name,
        cores=row.cores,
        peak_flop_per_s=dict(row.peak),
        memory_bytes_per_s=row.bandwidth,
        busy_w=row.busy,
        engines=tuple(row.engines),
        operating_points=tuple(OperatingPoint(point, each.speed, each.busy) for point, each in points),
        macs=None if macs is None else MacArray(macs.rows, macs.columns, macs.clock, macs.node, macs.multiplier),
    )


def _with_board(table: Mapping[str, Any], at: str) -> tuple[Mapping[str, Any], list[Fault]]:
    name = table.get("board")
    if not isinstance(name, str):
        return table, []
    try:
        found = describe(_cores(table)) if name == THIS_MACHINE else board_table(name)
    except FleetError as fault:
        return table, [Fault(f"{at}.board", fault.what, hint=fault.hint)]
    return _merge(found, table), []


def _cores(table: Mapping[str, Any]) -> Sequence[int] | None:
    """The cores the board counts; a throttled device is one core of this machine, whichever."""
    cores = table.get("cores", [0] if "speed" in table else None)
    return cores if isinstance(cores, list) else None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the keys of `above` in place of its own; tables are merged, all else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _hinted(fault: Fault, table: Mapping[str, Any]) -> Fault:
    if fault.what != "missing" or "board" in table:
        return fault
    return Fault(fault.where, fault.what, hint="name a board, or describe the device in full")


def _contradictions(row: DeviceRow, at: str) -> list[Fault]:
    """What no key shows alone."""
    faults = []
    if row.system_memory >= row.memory:
        needed, had = f"less than {format_bytes(row.memory)}", format_bytes(row.system_memory)
        faults.append(Fault(f"{at}.system_memory", "the system takes all the memory", needed, had))
    if row.memory_limit is not None and row.memory_limit > row.memory:
        needed, had = f"at most {format_bytes(row.memory)}", format_bytes(row.memory_limit)
        faults.append(Fault(f"{at}.memory_limit", "more than the device has", needed, had))
    if row.count > 1 and row.address is not None:
        faults.append(Fault(f"{at}.address", "an address belongs to one device", "count = 1", f"{row.count}"))
    faults += _throttled(row, f"{at}.speed") if row.speed < 1 else []
    faults += _off_range(row.lifecycle, row.carbon, f"{at}.lifecycle.ranges") if row.lifecycle else []
    usable = usable_cores()
    if row.board == THIS_MACHINE and row.cores and not usable.issuperset(row.cores):
        had = ", ".join(map(str, row.cores))
        faults.append(Fault(f"{at}.cores", "not a core of this machine", f"some of {sorted(usable)}", had))
    return faults


def _off_range(life: LifecycleRow, carbon_kg: float | None, at: str) -> list[Fault]:
    """Figures that lie outside their own ranges."""
    figures = {"carbon": carbon_kg, "lifetime": life.lifetime, "grid": life.grid, "utilisation": life.utilisation}
    faults = []
    for key, figure in figures.items():
        ends = getattr(life.ranges, key)
        if ends is not None and (figure is None or not ends[0] <= figure <= ends[1]):
            faults.append(Fault(f"{at}.{key}", "the figure itself is missing or lies outside its range"))
    return faults


def _throttled(row: DeviceRow, at: str) -> list[Fault]:
    """What a local worker cannot be throttled to."""
    board, cores = row.board or row.title, max(unit.cores for unit in row.units.values())
    if board != THIS_MACHINE or row.address is not None:
        had = f"the worker at {row.address}" if row.address is not None else board
        return [Fault(at, "only a local worker can be throttled", f'board = "{THIS_MACHINE}"', had)]
    if cores > 1:
        return [Fault(at, "a throttled device is one core", "one core", f"{cores}")]
    return []
