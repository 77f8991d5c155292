"""Area and energy of a loop on an array, or as a circuit of its own: counts of cells and events times rows of two tables.

Counted are the cells of ALUs, multiplexers (one of two inputs less than inputs), registers and configuration memory, whose
bits follow from the multiplexers, and what moves: operations, multiplexers on the way, registers written, wires, and the
configuration, all of which is read each cycle unless it never changes. Not counted: the data memory, clock trees, decoders.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from collections.abc import Mapping as Table
from dataclasses import dataclass
from math import ceil, log2, sqrt
from pathlib import Path

from shoal.machines._area import area
from shoal.machines._described import figures
from shoal.machines._energy import EnergyRow, energy
from shoal.machines.cgra._fabric import Fabric, Resource
from shoal.machines.cgra._graph import Dataflow, Node
from shoal.machines.cgra._mapper import Mapping
from shoal.machines.cgra._ops import MEMORY, OPS

FILE = Path(__file__).with_name("silicon.toml")
NODE_NM = 45
PARTS = ("add", "mul", "shift", "logic", "choose")
CELLS = ("full adder", "and", "exclusive or", "multiplexer of two", "register", "configuration memory")
_ROWS: Table[str, tuple[str, str]] = {
    "multiplexer": ("multiplexer of two", "pass"),
    "register": ("register", "write"),
    "wire": ("wire on the die", "move"),
    "configuration": ("configuration memory", "read"),
}
EVENTS = ("add", "mul", *_ROWS)
Weights = Table[str, float]  # of rows, for sensitivities: a row that is not named counts once


@dataclass(frozen=True)
class Silicon:
    """What a loop takes in hardware."""

    cells: Table[str, float]  # how many of each row of the table of areas
    events: Table[
        str, float
    ]  # how many of each row of the table of energies, for one iteration; wires in mm of bits
    bits: int  # of values
    ii: int  # cycles from iteration to iteration

    @property
    def area_mm2(self) -> float:
        """All cells."""
        return self.area_with({})

    @property
    def iteration_j(self) -> float:
        """Energy of an iteration, without leakage."""
        return self.energy_with({})

    @property
    def static_w(self) -> float:
        """What leaks."""
        return self.area_mm2 * float(figures(FILE)["leakage_per_mm2_w"].value)

    def power_w(self, clock_hz: float) -> float:
        """In a loop that goes on for long."""
        return self.iteration_j * clock_hz / self.ii + self.static_w

    def area_with(self, weights: Weights) -> float:
        """In square millimetres, with some rows so many times as large."""
        return sum(
            count * area(name, NODE_NM).area_mm2 * weights.get(name, 1.0) for name, count in self.cells.items()
        )

    def energy_with(self, weights: Weights) -> float:
        """Energy of an iteration in joules, with some rows so many times as large."""
        return sum(count * event_row(name, self.bits).energy_j * weights.get(name, 1.0)
                   for name, count in self.events.items())  # fmt: skip


def event_row(event: str, bits: int) -> EnergyRow:
    """What an event is priced by.

    Args:
        event: of `EVENTS`.
        bits: of a value; sums and products have rows of their own widths, other events count bits.
    """
    if event in ("add", "mul"):
        return energy("int", event, bits, NODE_NM)
    item, op = _ROWS[event]
    return energy(item, op, 1, NODE_NM)


def on_array(mapping: Mapping) -> Silicon:
    """A loop on an array: all of the array, whatever the loop uses of it."""
    fabric = mapping.fabric
    cells = array_cells(fabric)
    return Silicon(cells, _moved(mapping, cells), fabric.bits, mapping.ii)


def as_datapath(graph: Dataflow, bits: int = 16) -> Silicon:
    """A loop as a circuit of its own: a unit for each node, which does nothing else, and registers between them.

    An iteration begins each cycle, or as soon as values of the iteration before allow. Numbers are wired in.
    """
    cells: Counter[str] = Counter()
    for node in graph.nodes:
        cells.update(_part_cells(_part(node), bits))
    stages = _stages(graph)
    ii = graph.recurrence_cycles
    held = sum(bits * max(1, *(_lasts(stages, ii, e.source, e.target, e.distance) for e in leaving if e.place >= 0), 1)
               for leaving in graph.leaving)  # fmt: skip
    cells["register"] += held
    side = sqrt(_area(cells) / len(graph.nodes))
    events = _operations(graph)
    events["register"] += held
    events["wire"] += bits * side * sum(e.place >= 0 for e in graph.edges)
    return Silicon(dict(cells), dict(events), bits, ii)


def array_cells(fabric: Fabric) -> dict[str, float]:
    """Cells of an array by row of the table."""
    cells: Counter[str] = Counter()
    for part in PARTS:
        cells.update({name: len(fabric.units) * count for name, count in _part_cells(part, fabric.bits).items()})
    cells["multiplexer of two"] += len(fabric.units) * (len(PARTS) - 1) * fabric.bits  # which part gives the result
    for at, resource in enumerate(fabric.resources):
        cells["multiplexer of two"] += max(0, inputs(fabric, at) - 1) * resource.bits
        cells["register"] += resource.bits * resource.delay
    cells["configuration memory"] += configuration_bits(fabric) * fabric.contexts
    return dict(cells)


def configuration_bits(fabric: Fabric) -> int:
    """Of one context: what multiplexers take, what units do, and the numbers."""
    chosen = sum(_choice(inputs(fabric, at)) for at in range(len(fabric.resources)))
    told = sum(_choice(1 + len(OPS) + (len(MEMORY) if unit.memory else 0)) for unit in fabric.units)
    return chosen + told + fabric.immediates * fabric.bits * len(fabric.tiles)


def inputs(fabric: Fabric, at: int) -> int:
    """Of a resource's multiplexer: what feeds it, and the tile's numbers at the port of a whole operand."""
    resource = fabric.resources[at]
    return len(resource.sources) + (fabric.immediates if resource.kind == "port" and resource.bits > 1 else 0)


def _moved(mapping: Mapping, cells: Table[str, float]) -> dict[str, float]:
    """Events of one iteration. A wire is as long as from tile to tile, or half of that through a router; else it is none."""
    fabric = mapping.fabric
    events = _operations(mapping.graph)
    side = sqrt(_area(cells) / len(fabric.tiles))
    for at, resource in _entered(mapping):
        events["multiplexer"] += resource.bits * _choice(inputs(fabric, at))
        events["register"] += resource.bits * resource.delay
        events["wire"] += resource.bits * side * _way(resource)
    if not fabric.fixed:
        events["configuration"] += configuration_bits(fabric) * mapping.ii
    return dict(events)


def _way(resource: Resource) -> float:
    """In sides of a tile; what has one source lies beside it."""
    if resource.kind == "link":
        return 1.0
    return 0.5 if len(resource.sources) > 1 else 0.0


def _entered(mapping: Mapping) -> Iterable[tuple[int, Resource]]:
    """Each place and cycle that a value is at, once for all of its ways."""
    points = {point for way in mapping.ways for point in way}
    return [(at, mapping.fabric.resources[at]) for at, _ in points]


def _operations(graph: Dataflow) -> defaultdict[str, float]:
    """Products cost as such; all else that an ALU does as a sum."""
    products = sum(_part(node) == "mul" for node in graph.nodes)
    return defaultdict(float, mul=products, add=len(graph.nodes) - graph.memory - products)


def _part(node: Node) -> str:
    return node.op if node.memory else OPS[node.op].part


def _part_cells(part: str, bits: int) -> dict[str, int]:
    """Cells of one part of an ALU; a product keeps its lower half, so half of its square is there."""
    half = bits * (bits + 1) // 2
    cells: dict[str, dict[str, int]] = {
        "add": {"full adder": bits, "exclusive or": bits},
        "mul": {"full adder": half, "and": half},
        "shift": {"multiplexer of two": 2 * bits * _choice(bits)},
        "logic": {"and": 2 * bits, "exclusive or": bits},
        "choose": {"multiplexer of two": bits},
    }
    return cells.get(part, {})


def _area(cells: Table[str, float]) -> float:
    return Silicon(cells, {}, 0, 1).area_mm2


def _choice(count: int) -> int:
    """Bits that choose one of so many."""
    return ceil(log2(count)) if count > 1 else 0


def _stages(graph: Dataflow) -> list[int]:
    """The cycle of each node in its iteration, as early as possible."""
    found = [0] * len(graph.nodes)
    for at in graph.order:
        found[at] = max((found[e.source] + 1 for e in graph.entering[at] if not e.distance), default=0)
    return found


def _lasts(stages: list[int], ii: int, source: int, target: int, distance: int) -> int:
    """Registers that a value passes until it is read."""
    return max(1, stages[target] + ii * distance - stages[source])
