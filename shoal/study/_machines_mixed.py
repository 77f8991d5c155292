"""One fleet of a board and machines that are not here: planned, then simulated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.graph import Graph

DEVICE = """
[devices.{name}]
memory = "1 GiB"
idle = "0.1 W"

[devices.{name}.units.{name}]
cores = 1
bandwidth = "10 GB/s"
busy = "1 W"
peak = {{ float32 = "1 Tflop/s" }}
engines = ["simulated:machine={machine}"]
"""
LINKS = '\n[default_link]\nbandwidth = "1 GB/s"\nlatency = "10 us"\n'


@dataclass(frozen=True)
class Obtained:
    """What a fleet gives in the simulator."""

    period_s: float
    latency_s: float
    energy_j: float  # an item, of all devices
    shares: str  # ops by unit


def simulated_on(graph: Graph, machines: Mapping[str, str], extra: Sequence[str], items: int) -> Obtained:
    """The quickest plan for a board and some of the machines, by the model of the data sheets, in simulated time."""
    from shoal import fleet
    from shoal.plan import ModelRef, Wishes
    from shoal.plan.costs import costs_of
    from shoal.plan.search import search
    from shoal.run.simulated import simulated

    text = f'[devices.board]\nboard = "{machines["board"]}"\n'
    text += "".join(DEVICE.format(name=name, machine=machines[name]) for name in extra)
    place = fleet.loads(text + LINKS)
    reference = ModelRef(graph.name, graph.source, graph.sha256)
    plan = search(graph, reference, place, costs_of(graph, place, measure=False), Wishes()).plan
    run = simulated(plan, items)
    owners = Counter(plan.owners.values())
    energy_j = sum(each.energy_j or 0.0 for each in run.devices.values()) / run.items
    shares = ", ".join(f"{unit.partition('/')[0]} {count}" for unit, count in owners.most_common())
    return Obtained(run.period_s, run.alone_latency_s or 0.0, energy_j, shares)
