"""What a block costs, given who has which part of what comes in: time as a max-plus map, the rest as sums.

Every part does its share of the ops in their order. A part that lacks a box of a tensor waits for it:

    arrival = when its maker had it + slice + exchange + Σ hops (latency + queue + bytes / bandwidth)

So the moment at which part i is done is max over j of (moment at which part j began + M[i, j]), and blocks follow one
another by M₂ ⊗ M₁. Only messages of the same op queue for a medium here; other queues are for the simulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shoal.cost import hops_between, weights_factor
from shoal.graph import Split
from shoal.graph.box import Box, full, volume
from shoal.graph.cover import Joined, Piece, Taken, cover
from shoal.graph.divide import HOME
from shoal.plan.problem import Problem
from shoal.plan.strategies._layout_prices import Prices
from shoal.plan.strategies._layouts import Block, Layout, Row, layout_of
from shoal.program import Hop

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Effect:
    """What a block adds, by part; `done_s[i, j]` is −inf where part i waits for nothing of part j's."""

    done_s: F64  # (parts, parts)
    busy_s: F64  # (parts,)
    medium_s: F64  # (media,)
    joules: F64  # (parts,) of sending and receiving
    held_bytes: F64  # (parts,) weights, and a window of buffers
    live_bytes: F64  # (parts,) the most that one op reads and writes
    sent_bytes: int
    exit: Layout


@dataclass(frozen=True, eq=False)
class LayoutCost:
    """Prices blocks of one graph on the units of one division, part i on `units[i]`."""

    problem: Problem
    units: tuple[str, ...]
    row: Row
    exchange_s: float  # of every message, on top of its link's latency
    boundary_s: float  # that a message keeps either end busy
    media: tuple[str, ...] = field(init=False)
    factors: tuple[float, ...] = field(init=False)  # weights as each unit's engine keeps them, over those stored
    prices: Prices = field(init=False)
    _ways: dict[tuple[int, int], tuple[Hop, ...]] = field(default_factory=dict, init=False)
    _effects: dict[tuple[int, Layout, tuple[Split, ...]], Effect] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        devices = [unit.partition("/")[0] for unit in self.units]
        for a, source in enumerate(devices):
            for b, target in enumerate(devices):
                self._ways[a, b] = hops_between(self.problem.fleet, source, target) if a != b else ()
        found = dict.fromkeys(hop.medium for hops in self._ways.values() for hop in hops)
        engines = [self.problem.engines_of(unit)[0] for unit in self.units]
        object.__setattr__(self, "media", tuple(found))
        object.__setattr__(self, "factors", tuple(weights_factor(engine) for engine in engines))
        object.__setattr__(self, "prices", Prices(self.problem, self.units, self.row.nodes))

    def effect(self, index: int, entry: Layout, splits: tuple[Split, ...]) -> Effect:
        """Of block `index` shared as `splits` say, who has what of its entry tensor as in `entry`."""
        key = (index, entry, splits)
        if key not in self._effects:
            self._effects[key] = _Run(self, self.row.blocks[index], entry).effect(splits)
        return self._effects[key]

    def effects(self, splits: Iterable[Split]) -> list[Effect]:
        """Of all blocks, for the splits of all ops."""
        by_op = {split.op: split for split in splits}
        found: list[Effect] = []
        for index, block in enumerate(self.row.blocks):
            entry = found[-1].exit if found else ()
            found.append(self.effect(index, entry, tuple(by_op[op.name] for op in block.ops)))
        return found

    def computing_s(self, splits: Iterable[Split]) -> F64:
        """Seconds of each part's own work, shape (parts,); inf where it cannot do it."""
        seconds = np.zeros(len(self.units))
        for split in splits:
            for part in split.parts:
                seconds[part.owner] += self.prices.work(split.op, part).seconds[part.owner]
        return seconds

    def way(self, source: int, target: int) -> tuple[Hop, ...]:
        """The hops from one part to another; none within a device."""
        return self._ways[source, target]


class _Run:
    """One block, op after op."""

    def __init__(self, cost: LayoutCost, block: Block, entry: Layout) -> None:
        self._cost, self._block = cost, block
        self._graph, self._prices = cost.problem.graph, cost.prices
        parts = len(cost.units)
        self._clock = np.where(np.eye(parts, dtype=bool), 0.0, -np.inf)  # row i: when part i is free
        self._busy, self._live, self._held, self._joules = (np.zeros(parts) for _ in range(4))
        self._medium = dict.fromkeys(cost.media, 0.0)
        self._sent = 0
        self._layouts: dict[str, Layout] = {}
        self._made: dict[tuple[str, int], F64] = {}  # when a part had its boxes of a tensor
        self._got: dict[tuple[str, int], Layout] = {}  # what a part was sent of a tensor
        for name in self._graph.given:
            self._have(name, ((HOME, full(self._graph.tensors[name].shape)),))
        if block.entry:
            self._have(block.entry, entry)

    def effect(self, splits: Sequence[Split]) -> Effect:
        for op, split in zip(self._block.ops, splits, strict=True):
            self._share(split, op.outputs)
        for op in self._block.ops:
            for name in op.outputs:
                if name in self._graph.finals:
                    self._answer(name)
        return Effect(
            self._clock, self._busy, np.array(list(self._medium.values())), self._joules, self._held, self._live,
            self._sent, self._layouts[self._block.exit] if self._block.exit else (),
        )  # fmt: skip

    def _have(self, tensor: str, layout: Layout) -> None:
        self._layouts[tensor] = layout
        for owner, _ in layout:
            self._made[tensor, owner] = self._clock[owner].copy()

    def _share(self, split: Split, outputs: Sequence[str]) -> None:
        queue = dict.fromkeys(self._cost.media, 0.0)
        works = [self._prices.work(split.op, part) for part in split.parts]
        for part, work in zip(split.parts, works, strict=True):
            for name, box in work.reads:
                self._fetch(name, box, part.owner, queue)
        for part, work in zip(split.parts, works, strict=True):
            self._spend(part.owner, work.seconds[part.owner])
            self._held[part.owner] += self._cost.factors[part.owner] * work.weights_bytes
            self._live[part.owner] = max(self._live[part.owner], work.live_bytes)
        if split.sums:
            self._sum(split)
        self._have(split.op, layout_of(split))
        for name in outputs:
            if name != split.op:
                whole = full(self._graph.tensors[name].shape)
                self._have(name, tuple((part.owner, whole) for part in split.parts))

    def _answer(self, tensor: str) -> None:
        """An answer, put together at home unless somebody has all of it; what is carried over goes there always."""
        whole = full(self._graph.tensors[tensor].shape)
        carried = tensor not in self._graph.outputs
        if carried or not any(box == whole for _, box in self._layouts[tensor]):
            self._fetch(tensor, whole, HOME, dict.fromkeys(self._cost.media, 0.0))

    def _sum(self, split: Split) -> None:
        """Partial sums to whoever adds them up."""
        ready = {part.owner: self._clock[part.owner].copy() for part in split.parts}
        queue = dict.fromkeys(self._cost.media, 0.0)
        for target in split.sums:
            size = volume(target.box) * self._prices.itemsize(split.op)
            for part in split.parts:
                if part.owner != target.owner:
                    cut_s = 0.0 if part.box == target.box else self._prices.copy_s(part.owner, size)
                    self._message(part.owner, target.owner, size, ready[part.owner], cut_s, queue)
            self._spend(target.owner, self._prices.copy_s(target.owner, size))

    def _fetch(self, tensor: str, box: Box, owner: int, queue: dict[str, float]) -> None:
        """Messages by which `owner` comes by `box`, and the copies it makes."""
        got = self._got.get((tensor, owner), ())
        taken = _taken(box, self._layouts[tensor] + got, owner)
        if taken is None:  # tiles made for a window that skips the last rows: nothing but that window can follow
            self._busy[owner] = np.inf
            return
        cuts, copied = taken
        itemsize = self._prices.itemsize(tensor)
        for source, elements, whole in cuts:
            size = elements * itemsize
            cut_s = 0.0 if whole else self._prices.copy_s(source, size)
            self._message(source, owner, size, self._made[tensor, source], cut_s, queue)
        if copied:
            self._spend(owner, self._prices.copy_s(owner, volume(box) * itemsize))
        if cuts or copied:
            self._got[tensor, owner] = (*got, (owner, box))

    def _message(
        self, source: int, target: int, size: int, ready: F64, cut_s: float, queue: dict[str, float]
    ) -> None:
        cost = self._cost
        self._spend(source, cut_s + cost.boundary_s)
        took_s = cut_s + cost.exchange_s
        for hop in cost.way(source, target):
            carry_s = size / hop.bytes_per_s
            took_s += hop.latency_s + queue[hop.medium] + carry_s
            queue[hop.medium] += carry_s
            self._medium[hop.medium] += carry_s
        if took_s < np.inf:
            self._clock[target] = np.maximum(self._clock[target], ready + took_s)
        self._spend(target, cost.boundary_s)
        self._sent += size
        self._charge(source, target, size)

    def _charge(self, source: int, target: int, size: int) -> None:
        """Joules and buffers at both ends."""
        fleet, units = self._cost.problem.fleet, self._cost.units
        path = fleet.path(units[source], units[target])
        if path:
            link_j = sum(link.j_per_byte for link in path)
            self._joules[source] += size * (fleet.device(units[source]).link_j_per_byte + link_j)
            self._joules[target] += size * fleet.device(units[target]).link_j_per_byte
        for end in (source, target):
            self._held[end] += self._cost.problem.window * size

    def _spend(self, part: int, seconds: float) -> None:
        self._busy[part] += seconds
        if seconds < np.inf:  # what cannot run there is told by the busy time
            self._clock[part] += seconds


@lru_cache(maxsize=1 << 16)
def _taken(box: Box, layout: Layout, owner: int) -> tuple[tuple[tuple[int, int, bool], ...], bool] | None:
    """What `owner` is sent to have `box`: from whom, elements, whether a whole piece; and whether it copies itself.

    None if nobody has some of it.
    """
    plan = cover(box, [Piece(each, held, "") for each, held in layout], owner)
    if plan is None:
        return None
    leaves = list(_leaves(plan))
    sent = tuple(
        (leaf.piece.owner, volume(leaf.box), leaf.box == leaf.piece.box)
        for leaf in leaves
        if leaf.piece.owner != owner
    )
    near = leaves[0].piece.owner == owner
    return sent, isinstance(plan, Joined) or (near and leaves[0].box != leaves[0].piece.box)


def _leaves(plan: Taken | Joined) -> Iterable[Taken]:
    if isinstance(plan, Taken):
        yield plan
    else:
        for member in plan.members:
            yield from _leaves(member)
