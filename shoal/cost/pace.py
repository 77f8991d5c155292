"""Costs and links to a Pace: the times that the simulator and emulating workers go by."""

from __future__ import annotations

from collections.abc import Mapping

from shoal.cost.energy import ends
from shoal.errors import PlanError
from shoal.fleet import Fleet
from shoal.program import Hop, Pace, Program


def pace(program: Program, fleet: Fleet, seconds: Mapping[str, float], client: str | None = None) -> Pace:
    """The Pace of `program` on `fleet`.

    Args:
        program: its segments and edges.
        fleet: the links between the devices.
        seconds: by segment name, for one item.
        client: the device the client sits on; None: with whoever talks to it, so its edges cross nothing.

    Raises:
        PlanError: a segment without a time.
        FleetError: no link joins two devices that an edge does.
    """
    missing = [segment.name for segment in program.segments if segment.name not in seconds]
    if missing:
        raise PlanError(f"segment '{missing[0]}' has no time", where=program.name)
    return Pace({segment.name: seconds[segment.name] for segment in program.segments}, hops(program, fleet, client))


def hops(program: Program, fleet: Fleet, client: str | None = None) -> dict[str, tuple[Hop, ...]]:
    """The hops of each edge of `program` that crosses a link, by the edge's name; `client` as in `pace`.

    Raises:
        FleetError: no link joins two devices that an edge does.
    """
    found = {edge.name: hops_between(fleet, *ends(program, edge.name, client)) for edge in program.edges}
    return {name: crossed for name, crossed in found.items() if crossed}


def hops_between(fleet: Fleet, source: str, target: str) -> tuple[Hop, ...]:
    """The hops from one device to another, one a link.

    A link that is not shared is a medium for each pair and direction.
    """
    return tuple(
        Hop(
            link.name if link.shared else f"{link.name}:{source}>{target}",
            link.bandwidth_bytes_per_s,
            link.latency_s,
        )
        for link in fleet.path(source, target)
    )
