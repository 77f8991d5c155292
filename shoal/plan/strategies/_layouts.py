"""A graph as a row of blocks, and the ways to share the work of each: what the layout DP chooses from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from shoal.errors import PlanError
from shoal.graph import Graph, Op, Part, Split, cuts
from shoal.graph.box import Box, along, full, hull
from shoal.graph.portions import portions, reads
from shoal.graph.tidy import label
from shoal.plan.strategies._channels import channels_of
from shoal.plan.strategies._parts import checked_bounds, copied, whole

if TYPE_CHECKING:
    import onnx_ir as ir

ROWS = 2  # the axis of pictures that tiles cut
MOST_OVERLAP = 1.5  # rows computed over rows there are, beyond which blocks are not tiled at once

Layout = tuple[tuple[int, Box], ...]  # who has which box of a tensor, by part
Boxes = tuple[Box | None, ...]  # of one tensor: what each part makes or needs of it


@dataclass(frozen=True, eq=False)
class Block:
    """Ops between two places where a single tensor is alive."""

    ops: tuple[Op, ...]
    entry: str  # the tensor that comes in; empty for the first block, which reads the graph's inputs
    exit: str  # the tensor that goes on; empty for the last


@dataclass(frozen=True)
class Way:
    """One way to share a block's work."""

    name: str
    splits: tuple[Split, ...]  # of each op


@dataclass(frozen=True, eq=False)
class Row:
    """A graph as a row of blocks."""

    graph: Graph
    nodes: Mapping[str, ir.Node]
    blocks: tuple[Block, ...]

    def ways(self, shares: Sequence[float], fusion: int) -> tuple[tuple[Way, ...], ...]:
        """For each block, the different ways to share it between as many parts as there are shares.

        Args:
            shares: of the work of a divided op, by part.
            fusion: blocks at most that are tiled without an exchange between them.
        """
        tiles = self._tiles(shares, fusion)
        return tuple(_distinct(self._ways(index, shares, tiles[index])) for index in range(len(self.blocks)))

    def _ways(self, index: int, shares: Sequence[float], tiles: Sequence[Way]) -> Iterator[Way]:
        block, parts = self.blocks[index], len(shares)
        shapes = {op.name: self.graph.tensors[op.name].shape for op in block.ops}
        for part in range(parts):
            yield Way(f"whole on part {part}", tuple(whole(op, shape, part) for op, shape in shapes.items()))
        if parts > 1:
            yield from tiles
            yield from self._channels(index, shares)
            yield Way("by every part", tuple(copied(op, shape, parts) for op, shape in shapes.items()))

    def _channels(self, index: int, shares: Sequence[float]) -> Iterator[Way]:
        """By output, by input, and in pairs; partial sums shared out, gathered at home, or everywhere."""
        block, before = self.blocks[index], self._before(index, shares)
        kinds = (
            ("output channels", lambda opened: False, False),
            ("input channels", lambda opened: True, False),
            ("pairs of channels", lambda opened: opened, False),
            ("pairs of channels, begun before", lambda opened: opened, True),
        )
        for name, choose, opened in kinds:
            try:
                found = channels_of(self.graph, self.nodes, block.ops, shares, choose, before, opened)
            except PlanError:
                continue  # fewer channels than parts
            way = Way(name, tuple(found.values()))
            yield way
            yield from self._summed(way, len(shares))

    def _summed(self, way: Way, parts: int) -> Iterator[Way]:
        """The same with its last partial sums added up in one place, or in all, and what follows done there."""
        last = max((place for place, split in enumerate(way.splits) if split.sums), default=None)
        if last is None:
            return
        for name, owners in (("summed on part 0", (0,)), ("summed everywhere", range(parts))):
            boxes = {split.op: full(self.graph.tensors[split.op].shape) for split in way.splits[last:]}
            made = {op: tuple(Part(owner, box) for owner in owners) for op, box in boxes.items()}
            sums = Split(way.splits[last].op, way.splits[last].parts, made[way.splits[last].op])
            after = (Split(split.op, made[split.op]) for split in way.splits[last + 1 :])
            yield Way(f"{way.name}, {name}", (*way.splits[:last], sums, *after))

    def _before(self, index: int, shares: Sequence[float]) -> dict[str, Split]:
        """How the tensor that comes in is divided if its maker is divided by output channels."""
        entry = self.blocks[index].entry
        if not entry:
            return {}
        maker = self.graph.ops[self.graph.producer[entry]]
        try:
            found = channels_of(self.graph, self.nodes, (maker,), shares, lambda opened: False)
        except PlanError:
            return {}
        return found

    def _tiles(self, shares: Sequence[float], fusion: int) -> list[list[Way]]:
        """For each block, rows of its own, and rows as up to `fusion - 1` later blocks need them."""
        found: list[list[Way]] = [[] for _ in self.blocks]
        for last, block in enumerate(self.blocks if len(shares) > 1 else ()):
            with suppress(PlanError):  # an op that cannot be cut along rows
                wanted: Boxes = self._own(block.exit or block.ops[-1].name, shares)
                for index in range(last, max(-1, last - fusion), -1):
                    if self._overlap(wanted) > MOST_OVERLAP:
                        break
                    splits, wanted = self._tile(self.blocks[index], wanted)
                    found[index].append(Way(f"rows, {last - index + 1} blocks at once", splits))
                own = ((op.name, self._own(op.name, shares)) for op in block.ops)
                each = tuple(Split(name, tuple(Part(*part) for part in enumerate(boxes))) for name, boxes in own)
                self._check(each)
                found[last].append(Way("rows, edges exchanged", each))
        return found

    def _check(self, splits: Sequence[Split]) -> None:
        for split in splits:
            for part in split.parts:
                portions(self.nodes[split.op], part.box)

    @staticmethod
    def _overlap(boxes: Boxes) -> float:
        """Rows made, over rows there are."""
        held = [box[ROWS] for box in boxes if box is not None]
        return sum(end - first for first, end in held) / max(end for _, end in held)

    def _own(self, op: str, shares: Sequence[float]) -> tuple[Box, ...]:
        """Each part's rows of what an op makes."""
        shape, kind = self.graph.tensors[op].shape, self.nodes[op].op_type
        if len(shape) != 4:
            raise PlanError(f"op '{op}' ({kind}) makes no picture", had=f"shape {list(shape)}")
        return tuple(along(shape, ROWS, each) for each in checked_bounds(op, kind, shape, ROWS, shares))

    def _tile(self, block: Block, wanted: Boxes) -> tuple[tuple[Split, ...], Boxes]:
        """Splits of a block that makes the boxes `wanted`, nothing exchanged inside; and what they need of its entry.

        Raises:
            PlanError: an op cannot be cut along rows.
        """
        last = block.exit or block.ops[-1].name
        needed: dict[str, list[Box | None]] = {last: list(wanted)}
        found = []
        for op in reversed(block.ops):
            boxes = needed.get(op.name)
            if boxes is None:
                raise PlanError(f"op '{op.name}' ({op.kind}) is read by nobody that is tiled")
            parts = tuple(Part(owner, box) for owner, box in enumerate(boxes) if box is not None)
            found.append(Split(op.name, parts))
            for part in parts:
                for name, box in reads(self.nodes[op.name], part.box).items():
                    there = needed.setdefault(name, [None] * len(wanted))
                    mine = there[part.owner]
                    there[part.owner] = box if mine is None else hull(mine, box)
        return tuple(reversed(found)), tuple(needed.get(block.entry, [None] * len(wanted)))


def row_of(graph: Graph) -> Row:
    """`graph` as blocks between its single-tensor cuts."""
    places: list[tuple[int, str]] = []
    for cut in cuts(graph):
        (tensor,) = cut.tensors
        fresh = tensor in graph.position and all(tensor != name for _, name in places)
        if fresh and tensor not in graph.finals:
            places.append((cut.after + 1, tensor))
    bounds = [(0, ""), *places, (len(graph.ops), "")]
    blocks = tuple(
        Block(graph.ops[first:end], entry, leaving) for (first, entry), (end, leaving) in pairwise(bounds)
    )
    return Row(graph, {label(node): node for node in graph.model.graph}, blocks)


def layout_of(split: Split) -> Layout:
    """Who has which box of what a split op makes."""
    return tuple(sorted((part.owner, part.box) for part in split.sums or split.parts))


def _distinct(ways: Iterator[Way]) -> tuple[Way, ...]:
    """Of ways with the same splits, the first."""
    return tuple({way.splits: way for way in reversed(list(ways))}.values())[::-1]
