"""Arrays of units as what values can pass through: multiplexers and registers, each with what feeds it.

One description serves the mapper, which routes over it, the executor, which moves values over it, and the table of
components, which counts it. A register takes a value one cycle later, a multiplexer in the same cycle. What an ALU gives
goes in the same cycle into a register of its own, into those of links and into held ones, but not on into another ALU.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Literal

from shoal.errors import InputError
from shoal.machines.cgra._graph import Dataflow, Node, ordered

Kind = Literal["port", "wire", "link", "register"]
Place = tuple[int, int]
CONTEXTS = 16


@dataclass(frozen=True)
class Resource:
    """What holds one value a cycle."""

    name: str
    tile: int
    kind: Kind
    bits: int
    sources: tuple[int, ...] = ()  # resources; none: what a unit gives

    @property
    def delay(self) -> int:
        """Cycles that a value takes to enter it."""
        return 1 if self.kind in ("link", "register") else 0


@dataclass(frozen=True)
class Unit:
    """An ALU."""

    name: str
    tile: int
    ports: tuple[int, int, int]  # of its operands; the third is a single bit that chooses
    result: int  # what it gives, in the same cycle
    kept: int  # its register, a cycle later
    memory: bool  # whether it has a port of the memory


@dataclass(frozen=True)
class Fabric:
    """An array.

    Args:
        name: for messages.
        bits: of a value.
        contexts: configurations that it can hold; with one it never changes.
        resources: all but units.
        units: the ALUs.
        tiles: where routers stand.
        immediates: numbers that a tile's configuration holds.
        groups: units that local wires join: what takes a motif.
    """

    name: str
    bits: int
    contexts: int
    resources: tuple[Resource, ...]
    units: tuple[Unit, ...]
    tiles: tuple[Place, ...]
    immediates: int
    groups: tuple[tuple[int, int, int], ...] = ()

    @property
    def fixed(self) -> bool:
        """Whether units and routes stand still while a loop runs."""
        return self.contexts == 1

    @cached_property
    def takers(self) -> tuple[tuple[int, ...], ...]:
        """What each resource feeds."""
        found: list[list[int]] = [[] for _ in self.resources]
        for at, each in enumerate(self.resources):
            for source in each.sources:
                found[source].append(at)
        return tuple(map(tuple, found))

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Registers, then multiplexers, each after those that feed it in the same cycle."""
        arcs = [(source, at) for at, each in enumerate(self.resources) if not each.delay for source in each.sources]
        return tuple(sorted(ordered(len(self.resources), arcs), key=lambda at: not self.resources[at].delay))

    def least_cycles(self, graph: Dataflow) -> tuple[int, int]:
        """Cycles between iterations that units, ports of the memory and numbers ask for, and that cycles of values do."""
        if self.fixed:
            return 1, graph.recurrence_cycles
        ports = sum(unit.memory for unit in self.units)
        numbers = sum(node.immediate for node in graph.nodes)
        wanted = [(len(graph.nodes), len(self.units)), (graph.memory, ports),
                  (numbers, self.immediates * len(self.tiles))]  # fmt: skip
        return max(-(-asked // had) for asked, had in wanted), graph.recurrence_cycles

    def able(self, unit: Unit, node: Node) -> bool:
        """Whether the unit can carry out the node."""
        return unit.memory or not node.memory


@dataclass
class _Builder:
    """Resources are declared first and fed later: wires of neighbours go round in circles."""

    resources: list[Resource] = field(default_factory=list)

    def new(self, name: str, tile: int, kind: Kind, bits: int) -> int:
        self.resources.append(Resource(f"{name} of tile {tile}", tile, kind, bits))
        return len(self.resources) - 1

    def feed(self, at: int, sources: Iterable[int]) -> None:
        self.resources[at] = replace(self.resources[at], sources=tuple(sources))

    def unit(self, name: str, tile: int, memory: bool, bits: int) -> Unit:
        left, right = (self.new(f"{name} operand {place}", tile, "port", bits) for place in (0, 1))
        choice = self.new(f"{name} choice", tile, "port", 1)
        result = self.new(f"{name} result", tile, "wire", bits)
        kept = self.new(f"{name} register", tile, "register", bits)
        self.feed(kept, (result,))
        return Unit(f"{name} of tile {tile}", tile, (left, right, choice), result, kept, memory)

    def feed_unit(self, unit: Unit, sources: Sequence[int]) -> None:
        for port in unit.ports:
            self.feed(port, sources)

    def file(self, tile: int, entries: int, bits: int, sources: Sequence[int]) -> list[int]:
        """Registers that hold what they have, or take what one port gives them."""
        port = self.new("write", tile, "wire", bits)
        self.feed(port, sources)
        held = [self.new(f"r{at}", tile, "register", bits) for at in range(entries)]
        for each in held:
            self.feed(each, (port, each))
        return held

    def links(self, tiles: Sequence[Place], bits: int, lanes: int) -> dict[tuple[int, int], list[int]]:
        """Registers on the way from tile to neighbouring tile."""
        return {
            (a, b): [self.new(f"link {lane} to tile {b}", a, "link", bits) for lane in range(lanes)]
            for (a, here), (b, there) in product(enumerate(tiles), repeat=2)
            if abs(here[0] - there[0]) + abs(here[1] - there[1]) == 1
        }


def _grid(rows: int, columns: int) -> tuple[Place, ...]:
    if min(rows, columns) < 1:
        raise InputError(f"an array of {rows}×{columns}", needed="a row and a column at least")
    return tuple(product(range(rows), range(columns)))


def _around(links: dict[tuple[int, int], list[int]], tile: int) -> dict[int, list[int]]:
    """What arrives at a tile, by neighbour."""
    return {a: found for (a, b), found in links.items() if b == tile}


def _feed_links(made: _Builder, links: dict[tuple[int, int], list[int]], tile: int, own: Sequence[int]) -> None:
    """Out goes what is made here and what came from elsewhere, but nothing back to where it came from."""
    arriving = _around(links, tile)
    for (a, b), lanes in links.items():
        if a == tile:
            passing = [each for neighbour, found in arriving.items() if neighbour != b for each in found]
            for lane in lanes:
                made.feed(lane, (*passing, *own))


def conventional(
    rows: int = 4, columns: int = 4, bits: int = 16, contexts: int = CONTEXTS, entries: int = 4, edge: int = 1
) -> Fabric:
    """One ALU and one crossbar a tile, in a mesh; another configuration each cycle.

    Args:
        rows: of tiles.
        columns: of tiles.
        bits: of a value.
        contexts: configurations.
        entries: registers of a tile.
        edge: columns, from the first on, whose tiles have a port of the memory.
    """
    tiles = _grid(rows, columns)
    made = _Builder()
    links = made.links(tiles, bits, 1)
    units = [made.unit("alu", at, place[1] < edge, bits) for at, place in enumerate(tiles)]
    for tile, unit in enumerate(units):
        arriving = [each for found in _around(links, tile).values() for each in found]
        held = made.file(tile, entries, bits, (*arriving, unit.result))
        reads = [made.new(f"read {at}", tile, "wire", bits) for at in range(2)]
        for each in reads:
            made.feed(each, held)
        made.feed_unit(unit, (*arriving, unit.kept, *reads))
        _feed_links(made, links, tile, (unit.result, *reads))
    return Fabric("spatio-temporal", bits, contexts, tuple(made.resources), tuple(units), tiles, 1)


def spatial(rows: int = 4, columns: int = 4, bits: int = 16, waits: int = 4, lanes: int = 2) -> Fabric:
    """One ALU and one crossbar a tile, one configuration for the whole loop; operands wait in lines of registers.

    Args:
        rows: of tiles.
        columns: of tiles.
        bits: of a value.
        waits: registers in a line; an operand may be taken behind any of them.
        lanes: links each way between neighbours.
    """
    tiles = _grid(rows, columns)
    made = _Builder()
    links = made.links(tiles, bits, lanes)
    units = [made.unit("alu", at, place[1] == 0, bits) for at, place in enumerate(tiles)]
    for tile, unit in enumerate(units):
        arriving = [each for found in _around(links, tile).values() for each in found]
        for place, port in enumerate(unit.ports):
            width = made.resources[port].bits
            come = made.new(f"operand {place} arriving", tile, "wire", width)
            made.feed(come, (*arriving, unit.kept))
            line = [come]
            for at in range(waits):
                line.append(made.new(f"operand {place} waiting {at}", tile, "register", width))
                made.feed(line[-1], (line[-2],))
            made.feed(port, line)
        _feed_links(made, links, tile, (unit.result,))
    return Fabric("spatial", bits, 1, tuple(made.resources), tuple(units), tiles, 1)


def plaid(
    rows: int = 2, columns: int = 2, bits: int = 16, contexts: int = CONTEXTS, entries: int = 2, lanes: int = 1,
    immediates: int = 2, local: bool = True,
) -> Fabric:  # fmt: skip
    """Collective units in a mesh: three ALUs round a local router, one with a port of the memory at the global router.

    Args:
        rows: of collective units.
        columns: of collective units.
        bits: of a value.
        contexts: configurations.
        entries: registers at a global router.
        lanes: links each way between neighbours.
        immediates: numbers in a collective unit's configuration, for all of its units.
        local: whether the three ALUs reach one another; else they only reach the ports of the global router.
    """
    tiles = _grid(rows, columns)
    made = _Builder()
    links = made.links(tiles, bits, lanes)
    units: list[Unit] = []
    for tile in range(len(tiles)):
        units += [made.unit(f"alu {at}", tile, False, bits) for at in range(3)]
        units.append(made.unit("memory alu", tile, True, bits))
    for tile in range(len(tiles)):
        three, memory = units[4 * tile : 4 * tile + 3], units[4 * tile + 3]
        results, kept = [each.result for each in three], [each.kept for each in three]
        out = [made.new(f"out {at}", tile, "wire", bits) for at in range(2)]
        into = [made.new(f"in {at}", tile, "wire", bits) for at in range(3)]
        for each in out:
            made.feed(each, results)
        for alu in three:
            made.feed_unit(alu, (*kept, *into) if local else into)
        passing = _global_router(made, links, tile, memory, out, kept, entries)
        for each in into:
            made.feed(each, [at for at in passing if at not in kept or not local])
    groups = tuple((at, at + 1, at + 2) for at in range(0, len(units), 4)) if local else ()
    name = "plaid" if local else "plaid without local routers"
    return Fabric(name, bits, contexts, tuple(made.resources), tuple(units), tiles, immediates, groups)


def separate(rows: int = 4, columns: int = 4, bits: int = 16, contexts: int = CONTEXTS, entries: int = 2) -> Fabric:
    """Plaid's global routers with one ALU each and no local router: what is left of it where nothing is shared."""
    tiles = _grid(rows, columns)
    made = _Builder()
    links = made.links(tiles, bits, 1)
    units = [made.unit("alu", at, place[1] == 0, bits) for at, place in enumerate(tiles)]
    for tile, unit in enumerate(units):
        _global_router(made, links, tile, unit, (), (), entries)
    return Fabric("plaid, one ALU a router", bits, contexts, tuple(made.resources), tuple(units), tiles, 1)


def _global_router(
    made: _Builder, links: dict[tuple[int, int], list[int]], tile: int, unit: Unit, out: Sequence[int],
    kept: Sequence[int], entries: int,
) -> tuple[int, ...]:  # fmt: skip
    """The router with its registers and the one ALU that is at it; what ALUs can take from it.

    What other ALUs of the tile give leaves by `out`; `kept` are their registers.
    """
    bits = made.resources[unit.result].bits
    arriving = [each for found in _around(links, tile).values() for each in found]
    held = made.file(tile, entries, bits, (*arriving, *out, unit.result))
    read = made.new("read", tile, "wire", bits)
    made.feed(read, held)
    inner = (*arriving, *kept, unit.kept, read)
    made.feed_unit(unit, inner)
    _feed_links(made, links, tile, (*out, unit.result, read))
    return inner
