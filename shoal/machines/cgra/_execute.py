"""Carrying out a mapping cycle by cycle: configurations that repeat, registers that forget what nobody told them to keep.

A mapping is first made into configurations: for each slot, what each multiplexer and register takes, and what each unit
does. Only these move values. A register that no configuration writes loses its value; to read such a one is a fault of
the mapping, which `executed` raises. Only whether a unit's result counts yet, or still, is told from outside, as a
counter of iterations beside the array does.
"""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass

from shoal.errors import ProgramError
from shoal.machines.cgra._graph import Memory, Node, Read, valued
from shoal.machines.cgra._mapper import Mapping
from shoal.machines.cgra._ops import LOAD, OPS, STORE, wrapped


@dataclass(frozen=True)
class Configuration:
    """One of those that repeat."""

    takes: Table[int, int]  # of each resource that is used: the resource whose value it takes
    nodes: Table[int, int]  # of each unit that works: the node
    writes: Table[int, int]  # of each result that is used: the unit


@dataclass(frozen=True)
class Moved:
    """What a run took: events over all cycles."""

    cycles: int
    counts: dict[str, int]


def configurations(mapping: Mapping) -> tuple[Configuration, ...]:
    """A mapping as the array reads it.

    Raises:
        ProgramError: two values at one place in one slot, or a way that the array has not.
    """
    slots = 1 if mapping.fabric.fixed else mapping.ii
    takes: list[dict[int, int]] = [{} for _ in range(slots)]
    owner: dict[tuple[int, int], tuple[int, int]] = {}
    for edge, way in zip(mapping.graph.edges, mapping.ways, strict=True):
        for place, (at, cycle) in enumerate(way):
            held = owner.setdefault((at, cycle % slots), (edge.source, cycle))
            resource = mapping.fabric.resources[at]
            if held != (edge.source, cycle):
                raise ProgramError("two values at one place", where=resource.name,
                                   had=f"nodes {held[0]} and {edge.source} in slot {cycle % slots}")  # fmt: skip
            if place:
                before, then = way[place - 1]
                if before not in resource.sources or cycle - then != resource.delay:
                    raise ProgramError("a way that the array has not", where=resource.name)
                takes[cycle % slots][at] = before
    nodes: list[dict[int, int]] = [{} for _ in range(slots)]
    for node, (unit, time) in enumerate(zip(mapping.units, mapping.times, strict=True)):
        if unit in nodes[time % slots]:
            raise ProgramError("two nodes on one unit", where=mapping.fabric.units[unit].name)
        nodes[time % slots][unit] = node
    return tuple(Configuration(taken, working, {mapping.fabric.units[unit].result: unit for unit in working})
                 for taken, working in zip(takes, nodes, strict=True))  # fmt: skip


def executed(mapping: Mapping, memory: Memory, scalars: Table[str, int], iterations: int | None = None) -> Moved:
    """Enter the loop once; `memory` is changed.

    Args:
        mapping: the loop on an array.
        memory: arrays by name, flat.
        scalars: of the outer loops.
        iterations: none: the loop's trips.

    Raises:
        ProgramError: a value is not where it is read when it is read.
    """
    return _Machine(mapping, memory, scalars, mapping.graph.trips if iterations is None else iterations).run()


class _Machine:
    """Its registers; what is not in `values` is poisoned."""

    def __init__(self, mapping: Mapping, memory: Memory, scalars: Table[str, int], iterations: int) -> None:
        self.mapping, self.memory, self.iterations = mapping, memory, iterations
        self.told = configurations(mapping)
        self.values: dict[int, int] = {}
        resources = mapping.fabric.resources
        self.order = [at for at in mapping.fabric.order if resources[at].sources and not resources[at].delay]
        self.numbers = [tuple(None if isinstance(each, Read) else valued(each, scalars, memory) for each in node.operands)
                        for node in mapping.graph.nodes]  # fmt: skip
        self.before = [tuple(tuple(valued(scalar, scalars, memory) for scalar in each.first) if isinstance(each, Read)
                             else () for each in node.operands) for node in mapping.graph.nodes]  # fmt: skip
        self.counts: dict[str, int] = {}

    def run(self) -> Moved:
        cycles = self.mapping.cycles(self.iterations)
        for cycle in range(cycles):
            self._step(cycle)
        return Moved(cycles, self.counts)

    def _step(self, cycle: int) -> None:
        """Multiplexers, units, multiplexers behind them, then registers all at once."""
        told = self.told[cycle % len(self.told)]
        self._pass(told)
        stores = []
        for unit, node in told.nodes.items():
            iteration, rest = divmod(cycle - self.mapping.times[node], self.mapping.ii)
            if rest or not 0 <= iteration < self.iterations:
                continue
            operands = self._operands(unit, node, iteration, cycle)
            what = self.mapping.graph.nodes[node]
            if what.op == STORE:
                stores.append((what.array, operands))
            else:
                self.values[self.mapping.fabric.units[unit].result] = self._result(what, operands)
            self._count(what)
        for array, (index, value) in stores:
            self.memory[array][index] = value
        self._pass(told)
        self._clock(cycle)

    def _pass(self, told: Configuration) -> None:
        for at in self.order:
            self.values.pop(at, None)
            source = told.takes.get(at)
            if source in self.values:
                self.values[at] = self.values[source]

    def _clock(self, cycle: int) -> None:
        """Registers take what the configuration of the next cycle's slot names: it tells what they hold then."""
        takes = self.told[(cycle + 1) % len(self.told)].takes
        self.values = {at: self.values[source] for at, source in takes.items()
                       if self.mapping.fabric.resources[at].delay and source in self.values}  # fmt: skip

    def _operands(self, unit: int, node: int, iteration: int, cycle: int) -> list[int]:
        found = []
        for place, each in enumerate(self.mapping.graph.nodes[node].operands):
            number = self.numbers[node][place]
            if number is not None:
                found.append(number)
            elif isinstance(each, Read) and iteration < each.distance:
                found.append(self.before[node][place][iteration])
            else:
                found.append(self._arrived(unit, node, place, cycle))
        return found

    def _arrived(self, unit: int, node: int, place: int, cycle: int) -> int:
        port = self.mapping.fabric.units[unit].ports[place]
        if port not in self.values:
            raise ProgramError("a value that is not there is read", where=self.mapping.fabric.resources[port].name,
                               had=f"node {node}, cycle {cycle}")  # fmt: skip
        return self.values[port]

    def _result(self, node: Node, operands: list[int]) -> int:
        if node.op == LOAD:
            return int(self.memory[node.array][operands[0]])
        return int(wrapped(OPS[node.op].of(*operands), self.mapping.fabric.bits))

    def _count(self, node: Node) -> None:
        name = node.op if node.memory else OPS[node.op].part
        self.counts[name] = self.counts.get(name, 0) + 1
