"""A graph rewritten so that several parts share the work on one item, every transfer explicit.

A Split says which box of an op's output each part makes. From that alone the rest follows: what each part must read
(`portions`), from whom it gets what it lacks (`cover`), and so which `Slice`, `Concat` and `Sum` stand where. What
crosses between parts is an ordinary tensor of the new graph: plans, programs and runs treat it like any other.

    conv on two parts, rows:   x ─ Slice ─ conv@0 ─┐                 ┌─ Concat ─ next@0
                               └ Slice ──→ conv@1 ─┴ Slice ──→ halo ─┘
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from shoal import codec
from shoal.errors import PlanError, ProgramError
from shoal.graph import access
from shoal.graph.box import Box, Interval, full, within
from shoal.graph.build import from_model
from shoal.graph.carry import carry_over
from shoal.graph.cover import Joined, Piece, Taken, cover
from shoal.graph.nodes import Nodes
from shoal.graph.portions import Ints, Read, Stack, Zero, portions
from shoal.graph.tidy import label
from shoal.graph.values import Graph

if TYPE_CHECKING:
    import onnx_ir as ir

HOME = 0  # the part where inputs arrive and answers leave


@dataclass(frozen=True)
class Part:
    """What one part makes of an op's output."""

    owner: int
    box: Box
    inner: Interval | None = None  # only this interval of the input channels: the result is a partial sum


@dataclass(frozen=True)
class Split:
    """How the work of one op is shared. Boxes may overlap: that is work done twice instead of sent."""

    op: str
    parts: tuple[Part, ...]
    sums: tuple[Part, ...] = ()  # where partial sums are added up, and which box of them


@dataclass(frozen=True)
class Divided:
    """The rewritten graph, and which part has each of its ops."""

    graph: Graph
    owners: Mapping[str, int]


@lru_cache(maxsize=8)  # a plan's division is asked for when it is made, predicted, shown
def divide(graph: Graph, splits: tuple[Split, ...], home: int = HOME) -> Divided:
    """`graph` with its work shared as `splits` say; ops they do not mention stay whole on `home`.

    An op that one part makes whole keeps its name; others are called `conv1@0`, `conv1@1`. Inputs start on `home`,
    and answers that were divided are put together there; so is what is carried over to the next item.

    Raises:
        PlanError: an unknown op, or an op that cannot be divided so; names it and the limit.
    """
    by_op = {split.op: split for split in splits}
    unknown = sorted(set(by_op) - set(graph.position))
    if unknown:
        raise PlanError(f"the model has no op '{unknown[0]}'", where=graph.name)
    if not splits:
        return Divided(graph, {op.name: home for op in graph.ops})
    for split in splits:
        _check(graph, split)
    rewriter = _Rewriter(graph, home)
    for node in graph.model.graph:
        rewriter.add(node, by_op.get(label(node)) or _whole(graph, label(node), home))
    model = rewriter.finished()
    digest = hashlib.sha256(codec.encode((graph.sha256, home, splits))).hexdigest()
    made = carry_over(from_model(model, graph.name, graph.source, digest), graph.carried)
    ops = tuple(dataclasses.replace(op, origin=rewriter.nodes.origins.get(op.name, "")) for op in made.ops)
    return Divided(dataclasses.replace(made, ops=ops, base=graph), rewriter.nodes.owners)


def _check(graph: Graph, split: Split) -> None:
    whole, where = full(graph.tensors[split.op].shape), f"the split of op '{split.op}'"
    partial = any(part.inner is not None for part in split.parts)
    if not split.parts or (partial and not split.sums):
        raise PlanError("it gives nobody the work", where=where, needed="parts, and sums of partial ones")
    for part in (*split.parts, *split.sums):
        inside = len(part.box) == len(whole) and all(
            0 <= first < end <= size for (first, end), (_, size) in zip(part.box, whole, strict=True)
        )
        if part.owner < 0 or not inside or (part.inner is not None and not 0 <= part.inner[0] < part.inner[1]):
            raise PlanError("no such part", where=where, needed=f"a box within {whole}", had=f"{part.box}")


def _whole(graph: Graph, op: str, owner: int) -> Split:
    return Split(op, (Part(owner, full(graph.tensors[op].shape)),))


class _Rewriter:
    """Adds op after op; knows who holds which boxes of every tensor made so far."""

    def __init__(self, graph: Graph, home: int) -> None:
        self._graph, self._home = graph, home
        self.nodes = Nodes(graph)
        self._made = {name: [Piece(home, full(graph.tensors[name].shape), name)] for name in graph.given}
        self._got: dict[tuple[str, int], list[Piece]] = {}  # by tensor and part: what was put together there

    def add(self, node: ir.Node, split: Split) -> None:
        partial = [self._make(node, part) for part in split.parts if part.inner is not None]
        if partial:
            self._made[split.op] = [self._sum(split.op, part, partial) for part in split.sums]
            return
        for part in split.parts:
            if part.box == full(self._graph.tensors[split.op].shape):
                self._copy(node, part.owner, alone=len(split.parts) == 1)
            else:
                self._made.setdefault(split.op, []).append(self._make(node, part))

    def finished(self) -> ir.Model:
        """The model, once every op was added."""
        for name in map(access.name, self._graph.model.graph.outputs):  # carried ones too
            pieces = self._made[name]
            if not any(piece.value == name for piece in pieces):
                value = self._fetch(name, full(self._graph.tensors[name].shape), self._home)
                self.nodes.answer(value, name, self._home)
        return self.nodes.model()

    def _copy(self, node: ir.Node, owner: int, *, alone: bool) -> None:
        """The op as it is, all its outputs, on one part; under its own name if no other part has it."""
        reads = {
            name: self._fetch(name, full(self._graph.tensors[name].shape), owner)
            for name in dict.fromkeys(access.name(value) for value in node.inputs if value is not None)
            if name in self._graph.tensors
        }
        for name, value in self.nodes.copy(node, reads, owner, alone=alone).items():
            self._made.setdefault(name, []).append(Piece(owner, full(self._graph.tensors[name].shape), value))

    def _make(self, node: ir.Node, part: Part) -> Piece:
        """The nodes that make one part's box, joined along the channels if there are several."""
        made = []
        for portion in portions(node, part.box, part.inner):
            values = [
                self._read(value, read, part.owner) for value, read in zip(node.inputs, portion.reads, strict=False)
            ]
            made.append(self.nodes.portion(node, portion, values, part.owner))
        value = made[0] if len(made) == 1 else self.nodes.concat(made, 1, part.box, part.owner, label(node))
        return Piece(part.owner, part.box, value)

    def _read(self, value: ir.Value | None, read: Read, owner: int) -> str | None:
        """The name under which `owner` has what a portion reads."""
        if value is None or read is None:
            return None
        name = access.name(value)
        if isinstance(read, Ints):
            return self.nodes.integers(read.values)
        if isinstance(read, Zero):
            return self.nodes.zero(read.rank, access.dtype(value))
        if not isinstance(read, Stack):
            return self._box(name, read, owner)
        values = [self._box(name, box, owner) for box in read.boxes]
        return self.nodes.concat(values, read.axis, _stacked(read.axis, read.boxes), owner, name)

    def _box(self, name: str, box: Box, owner: int) -> str:
        return self._fetch(name, box, owner) if name in self._graph.tensors else self.nodes.weight(name, box)

    def _sum(self, tensor: str, part: Part, partial: Sequence[Piece]) -> Piece:
        """One part's box of a sum, out of everybody's partial one; its own comes first."""
        own_first = sorted(partial, key=lambda piece: (piece.owner != part.owner, piece.owner))
        values = [self._slice(piece, part.box) for piece in own_first]
        return Piece(part.owner, part.box, self.nodes.add_up(values, tensor, part.box, part.owner))

    def _fetch(self, tensor: str, box: Box, owner: int) -> str:
        """The name under which `owner` has `box` of `tensor`; what it lacks is sliced where it is and sent."""
        got = self._got.setdefault((tensor, owner), [])
        plan = cover(box, (*self._made[tensor], *got), owner)
        if plan is None:
            raise ProgramError(f"nobody makes all of tensor '{tensor}' that part {owner} needs")
        value = self._gather(tensor, plan, owner)
        got.append(Piece(owner, box, value))
        return value

    def _gather(self, tensor: str, plan: Taken | Joined, owner: int) -> str:
        if isinstance(plan, Joined):
            values = [self._gather(tensor, member, owner) for member in plan.members]
            return self.nodes.concat(values, plan.axis, plan.box, owner, tensor)
        piece, box = plan.piece, plan.box
        if piece.owner != owner and piece.value in self._graph.given and piece.box == box:
            value = self.nodes.identity(piece.value, self._home)  # an input goes to other parts by way of home
        else:
            value = self._slice(piece, box)
        return value

    def _slice(self, piece: Piece, box: Box) -> str:
        """`box` of a piece, cut where the piece is."""
        if piece.box == box:
            return piece.value
        return self.nodes.slice(piece.value, within(box, piece.box), piece.owner)


def _stacked(axis: int, boxes: Sequence[Box]) -> Box:
    """The extent of several boxes behind one another."""
    total = sum(box[axis][1] - box[axis][0] for box in boxes)
    return tuple((0, total) if index == axis else interval for index, interval in enumerate(boxes[0]))
