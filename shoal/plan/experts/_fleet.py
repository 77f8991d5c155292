"""A fleet as those see it who place experts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from types import MappingProxyType

from shoal.errors import FleetError
from shoal.fleet import Device, Fleet, Unit
from shoal.plan.experts._values import Curve, ExpertFleet, ExpertShape, Host, Wire


def expert_fleet(
    fleet: Fleet, shape: ExpertShape, *, kept_bytes: int = 0, curves: Mapping[str, Curve] = MappingProxyType({})
) -> ExpertFleet:
    """Each device with its quickest unit, by its data sheet; each pair of devices with its link, two ways.

    Args:
        fleet: devices and links.
        shape: of an expert.
        kept_bytes: of each device's memory, for whatever else it holds.
        curves: of devices that were measured, by name.

    Raises:
        FleetError: two devices without a link, or none that multiplies floats.
    """
    names = [device.name for device in fleet.devices]
    wires: dict[str, Wire] = {}
    ways = [[() for _ in names] for _ in names]  # type: list[list[tuple[int, ...]]]
    for (at, start), (to, end) in product(enumerate(names), repeat=2):
        for link in fleet.path(start, end):
            name = link.name if link.shared else f"{start}→{end}"
            wires.setdefault(name, Wire(name, link.bandwidth_bytes_per_s, link.latency_s))
            ways[at][to] = (*ways[at][to], list(wires).index(name))
    hosts = tuple(
        Host(
            device.name,
            curves.get(device.name) or _curve(device, shape),
            max(0, device.memory_limit_bytes - kept_bytes),
        )
        for device in fleet.devices
    )
    return ExpertFleet(hosts, tuple(wires.values()), tuple(map(tuple, ways)))


def clustered(curve: Curve, nodes: int, each: int, *, slots_bytes: int, inside: Wire, between: Wire) -> ExpertFleet:
    """Nodes of several hosts, node by node. A host has a port inside its node and one to the other nodes, each two ways.

    Args:
        curve: of all.
        nodes: how many.
        each: hosts of a node.
        slots_bytes: of a host.
        inside: the port inside the node.
        between: the port to other nodes.
    """
    count = nodes * each
    wires = tuple(
        Wire(f"{host} {word} {port.name}", port.bytes_per_s, port.latency_s)
        for port in (inside, between)
        for word in ("to", "from")
        for host in range(count)
    )

    def way(start: int, end: int) -> tuple[int, ...]:
        port = 0 if start // each == end // each else 2 * count
        return (port + start, port + count + end) if start != end else ()

    hosts = tuple(Host(str(at), curve, slots_bytes) for at in range(count))
    return ExpertFleet(
        hosts, wires, tuple(tuple(way(one, other) for other in range(count)) for one in range(count))
    )


def _curve(device: Device, shape: ExpertShape) -> Curve:
    unit = max(device.units, key=_peak)
    if not _peak(unit):
        raise FleetError("no unit multiplies floats", where=device.name)
    return Curve.roofline(shape, _peak(unit) * device.speed, unit.memory_bytes_per_s * device.speed)


def _peak(unit: Unit) -> float:
    return max(unit.peak_flop_per_s.get(form, 0.0) for form in ("float16", "float32"))
