"""What the parts of divided ops cost on each unit, as the problem's cost model prices them, without a rewrite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from shoal.graph import Graph, Op, Part, Split
from shoal.graph.box import Box, Interval, full, volume
from shoal.graph.portions import reads
from shoal.plan.problem import Problem

if TYPE_CHECKING:
    import onnx_ir as ir

COPY_BYTES = 1 << 26  # size of the copy that tells the seconds of a byte

Key = tuple[str, Box, Interval | None]  # op, the box that is made of it, the input channels it sums over


@dataclass(frozen=True)
class Work:
    """A part of an op."""

    reads: tuple[tuple[str, Box], ...]  # activations
    weights_bytes: int
    live_bytes: int  # read and written
    seconds: tuple[float, ...]  # by unit; inf where it cannot run


@dataclass(frozen=True, eq=False)
class Prices:
    """Parts of ops on the units of a division, with the first engine of each."""

    problem: Problem
    units: tuple[str, ...]
    nodes: Mapping[str, ir.Node]
    _known: dict[Key, Work] = field(default_factory=dict, repr=False)
    _copies: dict[int, tuple[float, float]] = field(default_factory=dict, repr=False)  # seconds, and each byte's

    def learn(self, splits: Iterable[Split]) -> None:
        """Price all parts of `splits` at once, which is cheaper than one by one.

        Raises:
            PlanError: an op cannot be divided so.
        """
        keys = {(split.op, part.box, part.inner): None for split in splits for part in split.parts}
        missing = [key for key in keys if key not in self._known]
        if missing:
            needs = [reads(self.nodes[op], box, inner) for op, box, inner in missing]
            ops = [self._op(key, need) for key, need in zip(missing, needs, strict=True)]
            by_unit = self._seconds(ops)
            for place, (key, need, op) in enumerate(zip(missing, needs, ops, strict=True)):
                inside = tuple((name, box) for name, box in need.items() if name in self.problem.graph.tensors)
                seconds = tuple(float(column[place]) for column in by_unit)
                self._known[key] = Work(inside, op.weights_bytes, op.read_bytes + op.written_bytes, seconds)

    def work(self, op: str, part: Part) -> Work:
        """What a part reads, holds, and how long it takes."""
        key = (op, part.box, part.inner)
        if key not in self._known:
            self.learn((Split(op, (part,)),))
        return self._known[key]

    def copy_s(self, part: int, size: int) -> float:
        """Seconds in which a unit copies `size` bytes: slices, joins, sums."""
        if not self._copies:
            one = dataclasses.replace(self.problem.graph.ops[0], name="copy", kind="Concat", macs=0, origin="")
            sizes = (0, COPY_BYTES)
            ops = [
                dataclasses.replace(one, weights_bytes=0, weights=(), read_bytes=each, written_bytes=each)
                for each in sizes
            ]
            for place, (fixed, large) in enumerate(self._seconds(ops)):
                able = bool(np.isfinite(large))
                self._copies[place] = (float(fixed), float(large - fixed) / COPY_BYTES if able else 0.0)
        fixed_s, byte_s = self._copies[part]
        return fixed_s + size * byte_s

    def _op(self, key: Key, need: Mapping[str, Box]) -> Op:
        """The part as an op of a divided graph, counted; arithmetic in proportion to what it makes and sums."""
        name, box, inner = key
        graph = self.problem.graph
        whole = graph.ops[graph.position[name]]
        made = graph.tensors[name]
        share = volume(box) / max(1, volume(full(made.shape)))
        weights = {each: held for each, held in need.items() if each in graph.weights}
        kept = {each: volume(held) for each, held in weights.items()}
        if inner is not None:
            share *= (inner[1] - inner[0]) / self._summed(whole, weights)
        return dataclasses.replace(
            whole,
            name=f"{name}@{len(self._known)}",
            macs=round(whole.macs * share),
            weights_bytes=sum(size * _itemsize(graph.weights[each].dtype) for each, size in kept.items()),
            read_bytes=sum(
                volume(held) * self.itemsize(each) for each, held in need.items() if each in graph.tensors
            ),
            written_bytes=volume(box) * self.itemsize(name),
            origin=name,
        )

    def _summed(self, op: Op, weights: Mapping[str, Box]) -> int:
        """Over how many channels the whole op sums: the axis of its weights that the part cuts."""
        graph = self.problem.graph
        for name, held in weights.items():
            shape = graph.weights[name].shape
            cut = [axis for axis, interval in enumerate(held) if interval != (0, shape[axis])]
            if len(shape) > 1 and cut:
                return int(shape[cut[0]])
        return 1

    def itemsize(self, tensor: str) -> int:
        """Bytes of one element of a tensor."""
        return _itemsize(self.problem.graph.tensors[tensor].dtype)

    def _seconds(self, ops: Sequence[Op]) -> list[np.ndarray]:
        """Seconds of each op on each unit, as if they were the ops of a divided form of the graph."""
        base = self.problem.graph
        graph = Graph(base.name, base.source, f"{base.sha256}/parts", tuple(ops), {}, {}, (), (), base.model, base)
        costs = self.problem.costs.of(graph)
        return [costs.op_seconds(unit, self.problem.engines_of(unit)[0]) for unit in self.units]


def _itemsize(dtype: str) -> int:
    return int(np.dtype(dtype).itemsize)
