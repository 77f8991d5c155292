"""What machines and boards take for one workload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.errors import PlanError
from shoal.units import parse

if TYPE_CHECKING:
    from shoal.graph import Graph


GRID = "400 g/kWh"  # an average grid; the making of machines is told of few of them and left out


@dataclass(frozen=True)
class Row:
    """One machine or board and one workload."""

    name: str
    kind: str  # "machine", "board"
    seconds: float
    energy_j: float
    refusal: str = ""

    @property
    def delay_js(self) -> float:
        """Energy times delay."""
        return self.energy_j * self.seconds

    @property
    def carbon_kg(self) -> float:
        """CO2e of the electricity."""
        return self.energy_j * parse(GRID, "kilogram/joule")


@dataclass(frozen=True)
class Intensity:
    """What a workload asks for."""

    flop: float  # one multiply-accumulate counts two
    flop_per_byte: float  # over weights and activations, each moved once


def intensity(graph: Graph) -> Intensity:
    """Of all ops of a graph."""
    moved = sum(op.weights_bytes + op.read_bytes + op.written_bytes for op in graph.ops)
    return Intensity(2.0 * graph.macs, 2.0 * graph.macs / moved)


def on_machines(graph: Graph, machines: Sequence[str]) -> Iterator[Row]:
    """Each op on each machine; one that refuses an op refuses the workload."""
    from shoal.sim.alone import alone

    for name in machines:
        try:
            found = alone(graph, name)
        except PlanError as fault:
            yield Row(name, "machine", 0.0, 0.0, fault.had or fault.what)
            continue
        refusal = found.refused[0].taken.refusal if found.refused else ""
        yield Row(name, "machine", found.seconds, found.joules, refusal)


def on_boards(graph: Graph, boards: Sequence[str]) -> Iterator[Row]:
    """By the boards' data sheets, on the unit that is quickest; a board's energy counts what it draws idle."""
    from shoal import catalog
    from shoal.cost import CostKey
    from shoal.fleet import Fleet, board

    for name in boards:
        device = board(name)
        fleet = Fleet((device,))
        costs = catalog.make("cost/models", "roofline").over(graph, fleet, ())
        found = []
        for unit in device.units:
            try:
                key = CostKey(tuple(graph.position), f"{device.name}/{unit.name}", unit.engines[0])
                estimate = costs.estimate(key)
            except PlanError:
                continue
            found.append((estimate.seconds, estimate.joules + device.idle_w * estimate.seconds))
        if found:
            yield Row(name, "board", *min(found))
