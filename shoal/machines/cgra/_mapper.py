"""Modulo scheduling: nodes to units and cycles, values to ways, so that the same configurations repeat every few cycles.

Nodes, or motifs of three, are placed one after another where their values cost least to bring; overuse is allowed and
gets dearer, as is what was often overused (PathFinder [McMurchie and Ebeling, FPGA 1995]). What takes part in an overuse
is taken out and placed again, with noise on the costs that cools down, until nothing is overused or the budget is spent;
then iterations start a cycle further apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np
from numpy.typing import NDArray

from shoal.errors import LimitError, ModelError
from shoal.machines.cgra._fabric import Fabric
from shoal.machines.cgra._graph import Dataflow, Edge
from shoal.machines.cgra._motifs import TIMES, Motif
from shoal.machines.cgra._reach import FAR, backward, forward

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Point = tuple[int, int]  # resource, cycle
SLACK = 6  # cycles beyond an interval in which a place is looked for
ROUNDS = 150  # of taking out and placing again, for each interval
HISTORY, PRESENT = 0.4, 0.6  # what overuse adds to a price: for good, and while it lasts
NOISE, COOLING = 2.0, 0.96  # of costs, in hops, and how it falls from round to round
LATE = 0.05  # what a cycle later costs, in hops
BASE = {0: 0.1, 1: 1.0}  # of entering a multiplexer, a register


@dataclass(frozen=True)
class Mapping:
    """A loop on an array: where and when each node works in iteration 0, and the way of each value."""

    graph: Dataflow
    fabric: Fabric
    ii: int  # cycles from iteration to iteration
    least: int  # that units and cycles of values ask for
    units: tuple[int, ...]  # of each node
    times: tuple[int, ...]  # of each node; the first is 0
    ways: tuple[tuple[Point, ...], ...]  # of each edge, from the result to the operand's port; empty: order only
    motifs: tuple[Motif, ...] = ()

    @property
    def length(self) -> int:
        """Cycles of one iteration."""
        return max(self.times) + 1

    def cycles(self, iterations: int) -> int:
        """Of a loop that is entered once."""
        return self.ii * (iterations - 1) + self.length


def mapped(
    graph: Dataflow, fabric: Fabric, motifs: Sequence[Motif] = (), seed: int = 0, most: int | None = None,
    rounds: int = ROUNDS,
) -> Mapping:  # fmt: skip
    """The loop with the fewest cycles between iterations that are found.

    Args:
        graph: the loop's body.
        fabric: the array.
        motifs: threes to be kept together; the array has to have groups for them.
        seed: of all random choices.
        most: cycles between iterations that are tried; none: contexts, or those of the body one after another.
        rounds: of improving, for each of them.

    Raises:
        LimitError: more nodes, or configurations, than the array holds; or no mapping was found.
        ModelError: loads or stores, but no unit with a port of the memory.
    """
    least = _least(graph, fabric)
    last = most or (2 * len(graph.nodes) if fabric.fixed else fabric.contexts)
    trouble = ("", "")
    for ii in range(least, last + 1):
        for kept in (tuple(motifs), ()) if motifs else ((),):
            work = _Work(graph, fabric, ii, kept, np.random.default_rng([seed, ii]))
            if work.search(rounds):
                return work.mapping(least)
            trouble = work.trouble()
    raise LimitError("no mapping was found", where=f"{fabric.name}, loop '{graph.name}'",
                     needed=f"fewer values at {trouble[0]}, edge {trouble[1]}",
                     had=f"{least} to {last} cycles between iterations tried",
                     hint="fewer copies of the body, or a larger array")  # fmt: skip


def _least(graph: Dataflow, fabric: Fabric) -> int:
    if graph.memory and not any(unit.memory for unit in fabric.units):
        raise ModelError("no unit has a port of the memory", where=fabric.name)
    where = f"{fabric.name}, loop '{graph.name}'"
    if fabric.fixed:
        ports = sum(unit.memory for unit in fabric.units)
        if len(graph.nodes) > len(fabric.units) or graph.memory > ports:
            raise LimitError("more nodes than units", where=where,
                             needed=f"{len(graph.nodes)} units, {graph.memory} of them with the memory",
                             had=f"{len(fabric.units)}, {ports}", hint="cut it: `pieces`")  # fmt: skip
        return max(fabric.least_cycles(graph))
    least = max(fabric.least_cycles(graph))
    if least > fabric.contexts:
        raise LimitError("more configurations than the array holds", where=where, needed=f"{least} contexts",
                         had=str(fabric.contexts), hint="fewer copies of the body")  # fmt: skip
    return least


def _flat(lists: Iterable[Sequence[int]]) -> tuple[I64, I64]:
    """Lists one after another, and where each starts."""
    parts = [list(each) for each in lists]
    starts = np.cumsum([0, *map(len, parts)]).astype(np.int64)
    return starts, np.array([each for part in parts for each in part], np.int64)


class _Work:
    """A mapping in the making for one interval of iterations."""

    def __init__(
        self, graph: Dataflow, fabric: Fabric, ii: int, motifs: tuple[Motif, ...], rng: np.random.Generator
    ) -> None:
        self.graph, self.fabric, self.ii, self.motifs, self.rng = graph, fabric, ii, motifs, rng
        self.slots = 1 if fabric.fixed else ii
        count = len(fabric.resources)
        self.order = np.array(fabric.order, np.int64)
        self.delays = np.array([each.delay for each in fabric.resources], np.int64)
        self.base = np.array([BASE[each.delay] for each in fabric.resources])
        self.sources = _flat(each.sources for each in fabric.resources)
        self.takers = _flat(fabric.takers)
        self.used = np.zeros((self.slots, count))
        self.past = np.zeros((self.slots, count))
        self.costs = np.tile(self.base, (self.slots, 1))
        self.busy = np.zeros((self.slots, len(fabric.units)))
        self.busy_past = np.zeros((self.slots, len(fabric.units)))
        self.numbers = np.zeros((self.slots, len(fabric.tiles)))
        self.numbers_past = np.zeros((self.slots, len(fabric.tiles)))
        self.ports = np.array([unit.ports for unit in fabric.units])
        self.results = np.array([unit.result for unit in fabric.units])
        self.tile_of = np.array([unit.tile for unit in fabric.units])
        self.able = np.array([[fabric.able(unit, node) for unit in fabric.units] for node in graph.nodes])
        self.unit = [-1] * len(graph.nodes)
        self.time = [0] * len(graph.nodes)
        self.edges = {edge: at for at, edge in enumerate(graph.edges)}
        self.way: dict[Edge, tuple[Point, ...]] = {}
        self.missing: set[Edge] = set()
        self.held: list[dict[Point, int]] = [{} for _ in graph.nodes]  # of each node's value: where, how many ways
        self.come: list[dict[Point, Point]] = [{} for _ in graph.nodes]
        self.parts = self._parts()
        self.part_of = {node: at for at, part in enumerate(self.parts) for node in part}
        self.noise = 0.0

    def _parts(self) -> list[tuple[int, ...]]:
        """What is placed at a time, the most pressing first: cycles over iterations, then what has most behind it."""
        together = {node for motif in self.motifs for node in motif.nodes}
        parts: list[tuple[int, ...]] = [motif.nodes for motif in self.motifs]
        parts += [(node,) for node in range(len(self.graph.nodes)) if node not in together]
        heights, pressing = self.graph.heights, self.graph.recurrent
        return sorted(parts, key=lambda part: (not pressing & set(part), -max(heights[node] for node in part)))

    def search(self, rounds: int) -> bool:
        """Whether a mapping without overuse was found."""
        todo = list(range(len(self.parts)))
        for each in range(rounds):
            self.noise = NOISE * COOLING**each if each else 0.0
            for part in todo:
                self._take_out(part)
            self._place_all(todo)
            if self._clean():
                return True
            self._remember()
            todo = self._again()
        return False

    def _place_all(self, todo: list[int]) -> None:
        """Place parts; one that leaves others no time takes those out, which are then placed after it."""
        budget = 4 * len(self.parts)
        queue = list(todo)
        for part in queue:  # grows while it is read
            if any(self.unit[node] < 0 for node in self.parts[part]):
                queue += self._place(part, len(queue) < budget)

    def _place(self, part: int, evict: bool) -> list[int]:
        found = self._best(part, free=())
        if found is not None:
            self._settle(found)
            return []
        after = {edge.target for node in self.parts[part] for edge in self.graph.leaving[node]}
        before = {edge.source for node in self.parts[part] for edge in self.graph.entering[node]}
        own = set(self.parts[part])
        for others in (after - before, after, after | before):
            free = {node for node in others - own if self.unit[node] >= 0}
            found = self._best(part, free)
            if found is not None:
                break
        else:
            return []
        out = []
        if evict:
            out = sorted({self.part_of[node] for node in free})
            for each in out:
                self._take_out(each)
        self._settle(found)
        return out

    def _best(self, part: int, free: Iterable[int]) -> list[tuple[int, int, int]] | None:
        """The cheapest (node, unit, time) for a part's nodes, leaving out what others in `free` ask for; none: nowhere."""
        nodes = self.parts[part]
        loose = {*nodes, *free}
        first, cycles = self._window(nodes, loose)
        prices = [self._prices(node, loose, first, cycles) for node in nodes]
        best, chosen = FAR / 2, None
        if len(nodes) == 1:
            at = int(np.argmin(prices[0]))
            if prices[0].flat[at] < best:
                chosen = [(nodes[0], at // cycles, first + at % cycles)]
            return chosen
        for times in TIMES[self._kind(nodes)]:
            room = cycles - max(times)
            if room < 1:
                continue
            shifted = [price[:, after : after + room] for price, after in zip(prices, times, strict=True)]
            for units in _ORDERS:
                groups = np.array(self.fabric.groups)
                total = sum(price[groups[:, unit]] for price, unit in zip(shifted, units, strict=True))
                at = int(np.argmin(total))
                if total.flat[at] < best:
                    best = float(total.flat[at])
                    group, start = divmod(at, room)
                    chosen = [(node, int(groups[group, unit]), first + start + after)
                              for node, unit, after in zip(nodes, units, times, strict=True)]  # fmt: skip
        return chosen

    def _kind(self, nodes: tuple[int, ...]) -> str:
        """The kind of the motif of these nodes."""
        return next(motif.kind for motif in self.motifs if motif.nodes == nodes)

    def _window(self, nodes: tuple[int, ...], loose: set[int]) -> tuple[int, int]:
        """The first cycle in which a part may work, and how many are looked at."""
        lows, highs = [], []
        for node in nodes:
            for edge in self.graph.entering[node]:
                if edge.source not in loose and self.unit[edge.source] >= 0:
                    lows.append(self.time[edge.source] + 1 - self.ii * edge.distance)
            for edge in self.graph.leaving[node]:
                if edge.target not in loose and self.unit[edge.target] >= 0:
                    highs.append(self.time[edge.target] - 1 + self.ii * edge.distance)
        spread = len(nodes) - 1
        cycles = self.slots + SLACK + 2 * spread
        if lows:
            return max(lows) - spread, cycles
        if highs:
            return min(highs) - cycles + 1 + spread, cycles
        return max(self.graph.heights) - max(self.graph.heights[node] for node in nodes), cycles

    def _prices(self, node: int, loose: set[int], first: int, cycles: int) -> F64:
        """Of the node at each unit and cycle, shape (units, cycles)."""
        slots = (first + np.arange(cycles)) % self.slots
        found = self._unit_prices(node)[:, slots] + LATE * np.arange(cycles)
        found += (
            self.noise * self.rng.random((len(self.fabric.units), 1)) + self.noise * self.rng.random(cycles) / 4
        )
        for edge in self.graph.entering[node]:
            if edge.source not in loose and self.unit[edge.source] >= 0:
                found += self._from(edge, first, cycles)
        for edge in self.graph.leaving[node]:
            if edge.target not in loose and self.unit[edge.target] >= 0:
                found += self._to(edge, first, cycles)
        return found

    def _unit_prices(self, node: int) -> F64:
        price = (1 + self.busy_past) * (1 + PRESENT * 4 * self.busy)
        if self.graph.nodes[node].immediate:
            over = np.maximum(self.numbers + 1 - self.fabric.immediates, 0)
            price = price + ((1 + self.numbers_past) * (1 + PRESENT * 4 * over) - 1)[:, self.tile_of]
        priced: F64 = np.where(self.able[node], price, FAR).T
        return priced

    def _from(self, edge: Edge, first: int, cycles: int) -> F64:
        """What it costs to bring the edge's value to each unit at each cycle."""
        begin = self.time[edge.source]
        offset = (
            first + self.ii * edge.distance - begin
        )  # of the first cycle's reading, from when the value is there
        cost = np.full((len(self.fabric.units), cycles), FAR)
        if edge.place < 0:
            cost[:, max(0, -offset) :] = 0.0
            return cost
        horizon = offset + cycles
        if horizon > 0:
            held, _ = self._spread(edge.source, begin, horizon)
            here = max(0, -offset)
            cost[:, here:] = held[offset + here :, self.ports[:, edge.place]].T
        return cost

    def _to(self, edge: Edge, first: int, cycles: int) -> F64:
        """What it costs to bring the value of a node at each unit and cycle to where the edge leads."""
        need = self.time[edge.target] + self.ii * edge.distance  # when it is read
        cost = np.full((len(self.fabric.units), cycles), FAR)
        usable = need - first  # cycles in which it may work: before that
        if usable <= 0:
            return cost
        if edge.place < 0:
            cost[:, :usable] = 0.0
            return cost
        port = int(self.ports[self.unit[edge.target], edge.place])
        back = backward(port, usable + 1, self.order, self.delays, *self.takers, self.costs, need)
        wide = min(cycles, usable)
        cost[:, :wide] = back[:wide, self.results].T
        return cost

    def _spread(self, node: int, begin: int, horizon: int) -> tuple[F64, I64]:
        """Costs of a node's value everywhere from cycle `begin` on: nothing where it is already."""
        held = np.full((horizon, len(self.fabric.resources)), FAR)
        held[0, self.results[self.unit[node]]] = 0.0
        for at, cycle in self.held[node]:
            if cycle - begin < horizon:
                held[cycle - begin, at] = 0.0
        return forward(held, self.order, self.delays, *self.sources, self.costs, begin)

    def _settle(self, found: list[tuple[int, int, int]]) -> None:
        for node, unit, time in found:
            self.unit[node], self.time[node] = unit, time
            self._occupy(node, 1)
        for node, _, _ in found:
            for edge in (*self.graph.entering[node], *self.graph.leaving[node]):
                if (
                    edge.place >= 0
                    and edge not in self.way
                    and min(self.unit[edge.source], self.unit[edge.target]) >= 0
                ):
                    self._route(edge)

    def _occupy(self, node: int, count: int) -> None:
        slot = self.time[node] % self.slots
        self.busy[slot, self.unit[node]] += count
        if self.graph.nodes[node].immediate:
            self.numbers[slot, self.tile_of[self.unit[node]]] += count
        self._hold(node, ((int(self.results[self.unit[node]]), self.time[node]),), count)

    def _route(self, edge: Edge) -> None:
        begin = self.time[edge.source]
        need = self.time[edge.target] + self.ii * edge.distance
        port = int(self.ports[self.unit[edge.target], edge.place])
        self.missing.discard(edge)
        if need < begin:
            self.missing.add(edge)
            return
        held, come = self._spread(edge.source, begin, need - begin + 1)
        if held[need - begin, port] >= FAR / 2:
            self.missing.add(edge)
            return
        back: list[Point] = [(port, need)]
        while back[-1] not in self.held[edge.source]:
            at, cycle = back[-1]
            back.append((int(come[cycle - begin, at]), cycle - int(self.delays[at])))
        known = self.come[edge.source]
        for after, before in pairwise(back):
            known[after] = before
        while back[-1] in known and back[-1] != (self.results[self.unit[edge.source]], begin):
            back.append(known[back[-1]])
        self.way[edge] = tuple(reversed(back))
        self._hold(edge.source, self.way[edge], 1)

    def _hold(self, node: int, points: Iterable[Point], count: int) -> None:
        held = self.held[node]
        for point in points:
            before = held.get(point, 0)
            held[point] = before + count
            if not held[point]:
                del held[point]
                self.come[node].pop(point, None)
            if not before or point not in held:
                self._use(point, count)

    def _use(self, point: Point, count: int) -> None:
        at, slot = point[0], point[1] % self.slots
        self.used[slot, at] += count
        self.costs[slot, at] = self._cost(slot, at)

    def _cost(self, slot: int, at: int) -> float:
        return float(self.base[at] * (1 + self.past[slot, at]) * (1 + PRESENT * 4 * self.used[slot, at]))

    def _take_out(self, part: int) -> None:
        for node in self.parts[part]:
            for edge in (*self.graph.entering[node], *self.graph.leaving[node]):
                if edge in self.way:
                    self._hold(edge.source, self.way.pop(edge), -1)
                self.missing.discard(edge)
            if self.unit[node] >= 0:
                self._occupy(node, -1)
                self.unit[node] = -1

    def _clean(self) -> bool:
        return (
            min(self.unit) >= 0 and not self.missing and self.used.max() <= 1 and self.busy.max() <= 1
            and self.numbers.max(initial=0) <= self.fabric.immediates and not self._late()
        )  # fmt: skip

    def _late(self) -> list[Edge]:
        """Orders of memory that are not kept."""
        return [edge for edge in self.graph.edges if edge.place < 0
                and self.time[edge.target] + self.ii * edge.distance <= self.time[edge.source]]  # fmt: skip

    def _remember(self) -> None:
        self.past += HISTORY * np.maximum(self.used - 1, 0)
        self.busy_past += HISTORY * np.maximum(self.busy - 1, 0)
        self.numbers_past += HISTORY * np.maximum(self.numbers - self.fabric.immediates, 0)
        self.costs = self.base * (1 + self.past) * (1 + PRESENT * 4 * self.used)

    def _again(self) -> list[int]:
        """Parts that take part in an overuse, in any order, and one more."""
        nodes = {edge.source for edge in (*self.missing, *self._late())} | {edge.target for edge in self.missing}
        nodes |= {node for node, unit in enumerate(self.unit) if unit < 0 or self._crowded(node)}
        parts = {self.part_of[node] for node in nodes}
        if len(parts) > 3 and self.rng.random() < 0.7:
            parts = set(self.rng.choice(sorted(parts), max(2, len(parts) // 2), replace=False).tolist())
        parts.add(int(self.rng.integers(len(self.parts))))
        todo = sorted(parts)
        self.rng.shuffle(todo)
        return todo

    def _crowded(self, node: int) -> bool:
        slot = self.time[node] % self.slots
        if self.busy[slot, self.unit[node]] > 1:
            return True
        if (
            self.graph.nodes[node].immediate
            and self.numbers[slot, self.tile_of[self.unit[node]]] > self.fabric.immediates
        ):
            return True
        ways = [
            self.way[edge] for edge in (*self.graph.entering[node], *self.graph.leaving[node]) if edge in self.way
        ]
        return any(self.used[cycle % self.slots, at] > 1 for way in ways for at, cycle in way)

    def trouble(self) -> tuple[str, str]:
        """What is overused, and by the value of which edge."""
        for edge, way in self.way.items():
            for at, cycle in way:
                if self.used[cycle % self.slots, at] > 1:
                    return self.fabric.resources[at].name, self._named(edge)
        for node, unit in enumerate(self.unit):
            if unit < 0 or self._crowded(node):
                name = self.fabric.units[unit].name if unit >= 0 else "any unit"
                return name, self._named(next(iter((*self.graph.entering[node], *self.graph.leaving[node]))))
        for edge in (*self.missing, *self._late()):
            return self.fabric.units[self.unit[edge.target]].name, self._named(edge)
        return "nothing", "none"

    def _named(self, edge: Edge) -> str:
        nodes = self.graph.nodes
        return f"{edge.source} {nodes[edge.source].op} to {edge.target} {nodes[edge.target].op}"

    def mapping(self, least: int) -> Mapping:
        """What was found, from cycle 0 on."""
        begin = min(self.time)
        ways = tuple(
            tuple((at, cycle - begin) for at, cycle in self.way.get(edge, ())) for edge in self.graph.edges
        )
        return Mapping(self.graph, self.fabric, self.ii, least, tuple(self.unit),
                       tuple(time - begin for time in self.time), ways, self.motifs)  # fmt: skip


_ORDERS: tuple[tuple[int, ...], ...] = tuple(permutations(range(3)))
