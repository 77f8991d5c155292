"""One fleet of a board and machines that are not here: planned, then simulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.graph import Graph

LINKS = '\n[default_link]\nbandwidth = "1 GB/s"\nlatency = "10 us"\n'


@dataclass(frozen=True)
class Obtained:
    """What a fleet gives in the simulator."""

    period_s: float
    latency_s: float
    energy_j: float  # an item, of all devices
    shares: str  # ops by unit


def simulated_on(graph: Graph, boards: Mapping[str, str], extra: Sequence[str], items: int) -> Obtained:
    """The quickest plan for the "board" and some of the other boards, which machines stand on, by the model of the data sheets, in simulated time."""
    from shoal import fleet
    from shoal.plan import ModelRef, Wishes
    from shoal.plan.costs import costs_of
    from shoal.plan.search import search
    from shoal.run.simulated import simulated

    text = "".join(f'[devices.{name}]\nboard = "{boards[name]}"\n' for name in ("board", *extra))
    place = fleet.loads(text + LINKS)
    reference = ModelRef(graph.name, graph.source, graph.sha256)
    plan = search(graph, reference, place, costs_of(graph, place, measure=False), Wishes()).plan
    run = simulated(plan, items)
    owners = Counter(plan.owners.values())
    energy_j = sum(each.energy_j or 0.0 for each in run.devices.values()) / run.items
    shares = ", ".join(f"{unit.partition('/')[0]} {count}" for unit, count in owners.most_common())
    return Obtained(run.period_s, run.alone_latency_s or 0.0, energy_j, shares)
