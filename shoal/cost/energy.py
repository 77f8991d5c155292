"""Joules: what a device draws by being on, by computing, and by moving bytes.

    energy = idle_w × time + Σ busy_w × busy time + Σ bytes × (device's joules/byte, both ends; link's, the sender)

The busy power of a unit counts above the device's idle power.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from shoal.cost.reach import operating_point
from shoal.fleet import Device, Fleet
from shoal.program import CLIENT, Program
from shoal.record import Estimate


def device_energy_j(device: Device, time_s: float, busy_j: float, transfer_j: float) -> float:
    """Joules of `device` over `time_s` (one period, or a whole run), during which it spent the other two."""
    return device.idle_w * time_s + busy_j + transfer_j


def busy_energy_j(program: Program, fleet: Fleet, busy_s: Mapping[str, float]) -> dict[str, float]:
    """Joules above idle by device, from the seconds each segment ran (by segment name)."""
    joules = dict.fromkeys(devices_of(program), 0.0)
    for name, seconds in busy_s.items():
        segment = program.segment[name]
        point = operating_point(segment.unit, fleet.unit(segment.unit), segment.operating_point)
        joules[device_of(segment.unit)] += point.busy_w * seconds
    return joules


def as_busy(fleet: Fleet, program: Program, estimates: Mapping[str, Estimate]) -> Fleet:
    """`fleet` with units that are simulated, arrays and whole machines, drawing what their models bill for the segments.

    Watts of a description hold for whatever runs; such a model counts the joules of each op in its format.

    Args:
        fleet: as it is described.
        program: which segments run where.
        estimates: of segments, by name.
    """
    power: dict[str, float] = {}
    for unit in program.units:
        own = [estimates[each.name] for each in program.segments if each.unit == unit and each.name in estimates]
        seconds = sum(each.seconds for each in own)
        if seconds and all(each.provenance == "simulated" for each in own):
            power[unit] = sum(each.joules for each in own) / seconds
    return fleet if not power else replace(fleet, devices=tuple(_drawing(each, power) for each in fleet.devices))


def _drawing(device: Device, power: Mapping[str, float]) -> Device:
    named = ((f"{device.name}/{unit.name}", unit) for unit in device.units)
    return replace(device, units=tuple(replace(unit, busy_w=power.get(name, unit.busy_w)) for name, unit in named))


def transfer_energy_j(
    program: Program, fleet: Fleet, edge_bytes: Mapping[str, float], client: str | None = None
) -> dict[str, float]:
    """Joules by device for the payload bytes that each edge moved (by edge name); none within a device.

    Args:
        program: its edges say who sends and who receives.
        fleet: its devices and links say what a byte costs.
        edge_bytes: an edge that is left out moved nothing.
        client: the device the client sits on; None: with whoever talks to it.
    """
    joules = dict.fromkeys(devices_of(program), 0.0)
    for name, size in edge_bytes.items():
        for device, per_byte in _payers(fleet, *ends(program, name, client)):
            if device in joules:
                joules[device] += per_byte * size
    return joules


def ends(program: Program, edge: str, client: str | None) -> tuple[str, str]:
    """The devices an edge joins; a client without a place is where its partner is."""
    source, target = program.edge[edge].source, program.edge[edge].target
    if source == CLIENT:
        source = client or target
    if target == CLIENT:
        target = client or source
    return device_of(source), device_of(target)


def device_of(unit: str) -> str:
    """The device of "device/unit"."""
    return unit.partition("/")[0]


def devices_of(program: Program) -> tuple[str, ...]:
    """The devices of a program, in the order of their first unit."""
    return tuple(dict.fromkeys(device_of(unit) for unit in program.units))


def _payers(fleet: Fleet, source: str, target: str) -> Iterator[tuple[str, float]]:
    path = fleet.path(source, target)
    if path:
        yield source, fleet.device(source).link_j_per_byte + sum(link.j_per_byte for link in path)
        yield target, fleet.device(target).link_j_per_byte
