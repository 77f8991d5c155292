"""Ops laid out beside each other on a chip, so that what goes between them never leaves it: groups of one launch each.

Source: Prabhakar et al., "SambaNova SN40L", MICRO 2024, sections on streaming dataflow and operator fusion. A group is
a run of ops in the graph's order. Every op is a stage with compute units of its own, stages hand on tiles through
buffers on the chip (`shoal.plan.streams`), and the slowest stage sets the pace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod

from shoal.errors import InputError, LimitError
from shoal.graph import Graph, Op
from shoal.plan.streams import Lanes, Streams

WHOLE = frozenset(("MatMul", "Einsum"))  # read a second activation again for every row of the first
# Other names for values or for a part of them: nothing is launched, and what reads them reads the values where they lie.
VIEWS = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split"))


@dataclass(frozen=True)
class Fabric:
    """A chip of compute units and memory, or several that work as one."""

    units: int
    flop_per_s: float  # of all units
    sram_bytes: int
    bytes_per_s: float  # of the memory outside
    launch_s: float = 0.0  # of a kernel from software
    tiles: int = 64  # that a tensor passes in, if it has as many rows
    orchestrated: bool = (
        False  # the chip begins one group after another by itself: software launches the first alone
    )

    def __post_init__(self) -> None:
        if min(self.units, self.sram_bytes, self.tiles) < 1 or min(self.flop_per_s, self.bytes_per_s) <= 0:
            raise InputError("a fabric has units, memory, tiles and rates above zero", had=str(self))
        if self.launch_s < 0:
            raise InputError("a launch takes no less than nothing", had=f"{self.launch_s:g} s")


@dataclass(frozen=True)
class Fused:
    """Ops of one launch."""

    ops: tuple[str, ...]
    units: tuple[int, ...]  # of each op
    sram_bytes: int  # buffers and what is kept of weights
    buffer_bytes: int  # of these, for tensors
    moved_bytes: int  # to and from the memory outside, weights among them
    flop: int
    seconds: float


@dataclass(frozen=True)
class Mapped:
    """A graph in groups."""

    groups: tuple[Fused, ...]
    fabric: Fabric
    first_s: float = 0.0  # before the first group, beside what each takes

    @property
    def seconds(self) -> float:
        """One group after another."""
        return self.first_s + sum(each.seconds for each in self.groups)

    @property
    def moved_bytes(self) -> int:
        """To and from the memory outside."""
        return sum(each.moved_bytes for each in self.groups)


def fused(graph: Graph, fabric: Fabric) -> Mapped:
    """Groups that grow op by op until a limit is met, then are cut where fusing saves the fewest bytes for its buffers.

    Raises:
        LimitError: an op by itself is too large for the chip.
    """
    stages, groups, first = _Stages(graph, fabric), list[Fused](), 0
    for end in range(1, len(graph.ops) + 1):
        if not stages.fits(end - 1, end):
            raise LimitError("an op is larger than the chip: it must be tiled", where=graph.ops[end - 1].name,
                             needed=f"{stages.sram_bytes(end - 1, end)} bytes", had=f"{fabric.sram_bytes}",
                             hint="divide the op by rows or channels, or take a fabric of more memory")  # fmt: skip
        while not stages.fits(first, end):
            cut = stages.cut(first, end)
            groups += stages.quickest(first, cut)
            first = cut
    groups += stages.quickest(first, len(graph.ops)) if graph.ops else ()
    return Mapped(tuple(groups), fabric, fabric.launch_s if fabric.orchestrated else 0.0)


def unfused(graph: Graph, fabric: Fabric) -> Mapped:
    """Each op by itself, launched from software: all it reads comes from the memory outside, all it gives goes there."""
    return Mapped(tuple(_alone(op, graph, fabric) for op in graph.ops), fabric)


def flop(op: Op, graph: Graph) -> int:
    """Two for a multiply-accumulate; of an op that has none, one for each value it gives; nothing for a view."""
    if op.kind in VIEWS:
        return 0
    return 2 * op.macs or sum(graph.tensors[name].elements for name in op.outputs)


def shared_units(work: Sequence[int], units: int) -> tuple[int, ...]:
    """Units in proportion to work, one at least; what rounding leaves goes to the slowest.

    Raises:
        LimitError: fewer units than stages.
    """
    if len(work) > units:
        raise LimitError("more stages than compute units", needed=str(len(work)), had=str(units))
    found = [1] * len(work)
    spare, whole = units - len(work), max(1, sum(work))
    for at, each in enumerate(work):
        found[at] += each * spare // whole
    for _ in range(units - sum(found)):
        slowest = max(range(len(work)), key=lambda at: work[at] / found[at])
        found[slowest] += 1
    return tuple(found)


def _alone(op: Op, graph: Graph, fabric: Fabric) -> Fused:
    moved, work = op.read_bytes + op.weights_bytes + op.written_bytes, flop(op, graph)
    if op.kind in VIEWS:
        return Fused((op.name,), (fabric.units,), 0, 0, 0, 0, 0.0)
    seconds = max(work / fabric.flop_per_s, moved / fabric.bytes_per_s) + fabric.launch_s
    return Fused((op.name,), (fabric.units,), 0, 0, moved, work, seconds)


@lru_cache(maxsize=2)  # a graph is mapped on several fabrics one after another
def _streams(graph: Graph, tiles: int) -> Streams:
    return Streams(graph, tiles)


class _Stages:
    """What runs of a graph's ops need on a fabric."""

    def __init__(self, graph: Graph, fabric: Fabric) -> None:
        self._graph, self._fabric = graph, fabric
        self._streams = _streams(graph, fabric.tiles)
        self._known: dict[tuple[int, int], tuple[Lanes, int]] = {}  # lanes and bytes of buffers

    @cached_property
    def _work(self) -> tuple[int, ...]:
        return tuple(flop(op, self._graph) for op in self._graph.ops)

    def fits(self, first: int, end: int) -> bool:
        """Whether units and memory are enough for these."""
        return end - first <= self._fabric.units and self.sram_bytes(first, end) <= self._fabric.sram_bytes

    def sram_bytes(self, first: int, end: int) -> int:
        """Buffers between stages and before the first ones, and of weights what has to be there at once."""
        return self._laid(first, end)[1] + sum(map(self._weights_bytes, self._graph.ops[first:end]))

    def cut(self, first: int, end: int) -> int:
        """Where a run that is too long is cut: after what fits, at the least bytes saved for a byte of buffers.

        The first half of the run stays together, so that groups do not become crumbs.
        """
        most = max(at for at in range(first + 1, end) if self.fits(first, at))
        return self._cheapest(range(first + (most - first + 1) // 2, most + 1))

    def quickest(self, first: int, end: int) -> list[Fused]:
        """These ops as one kernel, or as two or more where stages of one would wait for each other for too long.

        Down to single ops, which take no longer than unfused: so no network becomes slower.
        """
        whole = self.group(first, end)
        if end - first == 1:
            return [whole]
        quarter = (end - first) // 4
        cut = self._cheapest(range(first + max(1, quarter), end - quarter))
        parts = [*self.quickest(first, cut), *self.quickest(cut, end)]
        return parts if sum(each.seconds for each in parts) < whole.seconds else [whole]

    def group(self, first: int, end: int) -> Fused:
        """These ops as one kernel."""
        ops, fabric, work = self._graph.ops[first:end], self._fabric, self._work[first:end]
        units = shared_units(work, fabric.units)
        moved, one = self._moved_bytes(first, end), fabric.flop_per_s / fabric.units
        names = tuple(op.name for op in ops)
        stages_s = {name: each / (count * one) for name, each, count in zip(names, work, units, strict=True)}
        seconds = max(self._computed_s(first, end, stages_s), moved / fabric.bytes_per_s)
        if not fabric.orchestrated and any(op.kind not in VIEWS for op in ops):
            seconds += fabric.launch_s
        return Fused(
            names, units, self.sram_bytes(first, end), self._laid(first, end)[1], moved, sum(work), seconds
        )

    def _computed_s(self, first: int, end: int, stages_s: Mapping[str, float]) -> float:
        """Pipelines one after another: the slowest stage of each, and until its first tile has come through the others."""
        lanes, found = self._laid(first, end)[0], 0.0
        for turn in set(lanes.turns.values()):
            names = [name for name, at in lanes.turns.items() if at == turn]
            slowest_s = max(stages_s[name] for name in names)
            tiles = min(self._fabric.tiles, max(self._streams.rows(name, lanes) for name in names))
            found += slowest_s + (sum(stages_s[name] for name in names) - slowest_s) / tiles
        return found

    def _cheapest(self, places: range) -> int:
        """The last of those where fusing saves the least for its buffers."""
        return min(places, key=lambda at: (self._worths[at], -at))

    @cached_property
    def _worths(self) -> tuple[float, ...]:
        """Bytes that need not go out and back if the ops on both sides of a place are fused, a byte of buffers."""
        saved, buffers = [0] * (1 + len(self._graph.ops)), [0] * (1 + len(self._graph.ops))
        for name, last in self._last_reads.items():
            for at in range(self._graph.producer.get(name, last) + 1, last + 1):
                saved[at] += 2 * self._graph.tensors[name].bytes
                buffers[at] += self._buffer_bytes(name, whole=False)
        return tuple(each / max(1, room) for each, room in zip(saved, buffers, strict=True))

    @cached_property
    def _roots(self) -> Mapping[str, str]:
        """The tensor whose values each tensor is, all or part of them."""
        found = {name: name for name in self._graph.tensors}
        for op in self._graph.ops:
            if op.kind in VIEWS and op.inputs:
                found |= dict.fromkeys(op.outputs, found[op.inputs[0]])
        return found

    @cached_property
    def _last_reads(self) -> Mapping[str, int]:
        """Of tensors that are no views: the last op that reads them, by whatever name; -1 if none does."""
        found = dict.fromkeys(self._roots.values(), -1)
        for name, root in self._roots.items():
            readers = (at for at in self._graph.consumers[name] if self._graph.ops[at].kind not in VIEWS)
            found[root] = max((found[root], *readers))
        return found

    def _moved_bytes(self, first: int, end: int) -> int:
        graph, ops = self._graph, [op for op in self._graph.ops[first:end] if op.kind not in VIEWS]
        answers = {self._roots[name] for name in graph.finals}
        made = {name for op in ops for name in op.outputs}
        read = dict[str, int]()
        for name in {name for op in ops for name in op.inputs}:
            root = self._roots[name]
            read[root] = min(graph.tensors[root].bytes, read.get(root, 0) + graph.tensors[name].bytes)
        reads = sum(size for root, size in read.items() if root not in made)
        given = [name for name in made if self._last_reads[name] >= end or name in answers]
        held = {name for op in ops for name in op.weights}
        once = min(sum(graph.weights[name].bytes for name in held), sum(op.weights_bytes for op in ops))
        return reads + sum(graph.tensors[name].bytes for name in given) + once

    def _laid(self, first: int, end: int) -> tuple[Lanes, int]:
        """How tensors pass within a run, and what buffers take, those of what comes from outside and goes there among them."""
        if (first, end) not in self._known:
            ops = self._graph.ops[first:end]
            lanes = self._streams.lanes([op.name for op in ops])
            inside = self._streams.buffer_bytes(lanes)
            whole = {op.inputs[1] for op in ops if op.kind in WHOLE and len(op.inputs) > 1}
            names = dict.fromkeys(name for op in ops for name in (*op.inputs, *op.outputs) if name not in inside)
            outside = sum(self._buffer_bytes(name, name in whole) for name in names)
            self._known[first, end] = lanes, outside + sum(inside.values())
        return self._known[first, end]

    def _buffer_bytes(self, name: str, whole: bool) -> int:
        """Two tiles, of which one fills while the other is read, or all of it."""
        tensor = self._graph.tensors[name]
        count = min(self._fabric.tiles, self._rows(name))
        return tensor.bytes if whole else min(tensor.bytes, 2 * -(-tensor.bytes // count))

    def _weights_bytes(self, op: Op) -> int:
        """All of them, as every tile meets them; or two tiles of them where the op's activations are there whole."""
        there = sum(self._graph.tensors[name].bytes for name in (*op.inputs, *op.outputs))
        return min(op.weights_bytes, 2 * -(-op.weights_bytes // self._fabric.tiles) + there)

    def _rows(self, name: str) -> int:
        return max(1, prod(self._graph.tensors[name].shape[:-1]))
