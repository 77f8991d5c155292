"""Bytes that cross between parts, by formula: what each part needs of each tensor and does not make itself.

    bytes = Σ tensors T, Σ parts i:  |∪ boxes of T that i reads  \\  ∪ boxes of T that i makes|
          + Σ partial sums, Σ boxes summed:  (parts − 1) · |box|

Worked out from boxes alone, without a rewrite: an independent account of what `divide` sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np

from shoal.graph.box import Box, covers, full, volume
from shoal.graph.divide import HOME, Part, Split
from shoal.graph.portions import boxes
from shoal.graph.tidy import label
from shoal.graph.values import Graph


def transfer_bytes(graph: Graph, splits: Sequence[Split], home: int = HOME) -> int:
    """Payload bytes between parts for one item, inputs starting on `home`.

    Answers that are divided are put together at home; one that a single part makes whole leaves from there. What is
    carried over begins the next item at home.

    Raises:
        PlanError: an op cannot be divided so.
    """
    by_op = {split.op: split for split in splits}
    made: dict[str, dict[int, list[Box]]] = {
        name: {home: [full(graph.tensors[name].shape)]} for name in graph.given
    }
    read: dict[tuple[str, int], list[Box]] = {}
    undivided = set(graph.given)  # made by a single part
    total = 0
    for node in graph.model.graph:
        op = label(node)
        split = by_op.get(op) or Split(op, (Part(home, full(graph.tensors[op].shape)),))
        for part in split.parts:
            for name, found in boxes(node, part.box, part.inner).items():
                if name in graph.tensors:
                    read.setdefault((name, part.owner), []).extend(found)
        summing = any(part.inner is not None for part in split.parts)
        if summing:
            total += sum(_summed(graph, op, part, split.parts) for part in split.sums)
        makers = split.sums if summing else split.parts
        if not summing and len(makers) == 1:
            undivided.update(value.name or "" for value in node.outputs)
        for value in node.outputs:
            tensor = graph.tensors.get(value.name or "")
            if tensor is not None:
                for part in makers:
                    box = part.box if value.name == op else full(tensor.shape)
                    made.setdefault(tensor.name, {}).setdefault(part.owner, []).append(box)
    carried = [each.output for each in graph.carried]
    for name in (*graph.outputs, *carried):
        if name in carried or name not in undivided:
            read.setdefault((name, home), []).append(full(graph.tensors[name].shape))
    for (name, owner), needed in read.items():
        total += _lacking(needed, made[name].get(owner, ())) * _itemsize(graph, name)
    return total


def _summed(graph: Graph, name: str, part: Part, partial: Sequence[Part]) -> int:
    """Bytes that others send for one box of a sum."""
    others = sum(1 for each in partial if each.owner != part.owner)
    return others * volume(part.box) * _itemsize(graph, name)


def _lacking(needed: Sequence[Box], had: Sequence[Box]) -> int:
    """Elements in some box of `needed` and in none of `had`."""
    left = [box for box in needed if not any(covers(own, box) for own in had)]
    if not left:
        return 0
    marks = [sorted({bound for box in (*left, *had) for bound in box[axis]}) for axis in range(len(left[0]))]
    total = 0
    for cell in product(*(pairwise(each) for each in marks)):
        if any(covers(box, cell) for box in left) and not any(covers(own, cell) for own in had):
            total += volume(cell)
    return total


def _itemsize(graph: Graph, name: str) -> int:
    return np.dtype(graph.tensors[name].dtype).itemsize
