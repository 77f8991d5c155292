"""Ops that move values and change none: Concat, Transpose, Reshape and its kin; and sums over axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from shoal.graph.access import data, dims
from shoal.graph.box import Box, Interval
from shoal.graph.portions.contract import Attributes, Ints, Portion, Read, Stack, opset, refuse, undivided

if TYPE_CHECKING:
    import onnx_ir as ir

SLICE_BY_INPUTS_FROM = 10  # the opset from which Slice takes its bounds as inputs


def concat(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Of each input what lies in the box; inputs that lie outside are left out."""
    undivided(node, inner)
    axis = node.attributes["axis"].as_int() % len(box)
    reads: list[Read] = []
    offset = 0
    for value in node.inputs:
        size = dims(value)[axis]
        first, end = max(box[axis][0], offset) - offset, min(box[axis][1], offset + size) - offset
        reads.append((*box[:axis], (first, end), *box[axis + 1 :]) if first < end else None)
        offset += size
    return (Portion(box, tuple(reads)),)


def transpose(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Axis i of the output is axis perm[i] of the input."""
    undivided(node, inner)
    order = node.attributes.get_ints("perm", tuple(reversed(range(len(box))))) or ()
    source: list[Interval] = [(0, 0)] * len(box)
    for made, read in enumerate(order):
        source[read] = box[made]
    return (Portion(box, (tuple(source),)),)


def reshape(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Reshape with its target changed to the box; Flatten, Squeeze and Unsqueeze need no such thing."""
    undivided(node, inner)
    source, made = dims(node.inputs[0]), dims(node.outputs[0])
    read = _behind(node, box, source, made)
    if node.op_type == "Reshape":
        return (Portion(box, (read, Ints(tuple(end - first for first, end in box)))),)
    rest = tuple(tuple((0, size) for size in dims(each)) for each in node.inputs[1:] if each is not None)
    return (Portion(box, (read, *rest)),)


def sliced(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Slice by steps of one: what lies so many places further on, of which the new bounds leave out nothing."""
    undivided(node, inner)
    source = dims(node.inputs[0])
    starts, axes, steps = _bounds(node, len(source))
    if any(step != 1 for step in steps):
        refuse(node, "it takes steps")
    read = list(box)
    for axis, start in zip(axes, starts, strict=True):
        begun = min(max(start + source[axis] * (start < 0), 0), source[axis])
        read[axis] = (box[axis][0] + begun, box[axis][1] + begun)
    ends = tuple(box[axis][1] - box[axis][0] for axis in axes)
    fresh: Attributes = {"starts": (0,) * len(axes), "ends": ends, "axes": axes}
    if opset(node) < SLICE_BY_INPUTS_FROM:
        return (Portion(box, (tuple(read),), fresh),)
    given = ((0,) * len(axes), ends, axes, (1,) * len(axes))[: len(node.inputs) - 1]
    reads = (None if each is None else Ints(new) for each, new in zip(node.inputs[1:], given, strict=True))
    return (Portion(box, (tuple(read), *reads)),)


def reduce(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """ReduceMean, ReduceSum … : all of the axes that are reduced, of the others what the box says."""
    undivided(node, inner)
    source = dims(node.inputs[0])
    axes = _axes(node, len(source))
    kept = node.attributes.get_int("keepdims", 1)
    rest = iter(interval for axis, interval in enumerate(box) if not (kept and axis in axes))
    read = tuple((0, size) if axis in axes else next(rest) for axis, size in enumerate(source))
    others = tuple(tuple((0, size) for size in dims(each)) for each in node.inputs[1:] if each is not None)
    return (Portion(box, (read, *others)),)


def grain(node: ir.Node, axis: int) -> int:
    """The multiple that bounds on output `axis` of a Reshape must keep to cut no row of the input inside."""
    source, made = dims(node.inputs[0]), dims(node.outputs[0])
    for reads, makes in _groups(source, made):
        if axis in makes:
            after = prod(made[each] for each in makes if each > axis)
            leading = next((each for each in reads if source[each] > 1), None)
            if leading is None:
                return 1
            stride = prod(source[each] for each in reads if each > leading)
            return max(1, stride // after)
    return 1


def _bounds(node: ir.Node, rank: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Where a Slice begins, on which axes, by which steps."""

    def told(name: str, place: int) -> tuple[int, ...] | None:
        if opset(node) < SLICE_BY_INPUTS_FROM:
            return tuple(node.attributes.get_ints(name, ()) or ()) or None
        value = node.inputs[place] if place < len(node.inputs) else None
        if value is None:
            return None
        if value.const_value is None:
            refuse(node, "its bounds are known only when it runs")
        return tuple(int(each) for each in data(value).numpy().reshape(-1))

    starts = told("starts", 1) or ()
    axes = tuple(axis % rank for axis in told("axes", 3) or range(len(starts)))
    return starts, axes, told("steps", 4) or (1,) * len(starts)


def _axes(node: ir.Node, rank: int) -> set[int]:
    listed = node.attributes.get_ints("axes", None)
    if listed is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        listed = [int(axis) for axis in data(node.inputs[1]).numpy().reshape(-1)]
    return {axis % rank for axis in listed} if listed else set(range(rank))


def _groups(source: Sequence[int], made: Sequence[int]) -> Iterator[tuple[range, range]]:
    """Axes of both shapes in runs of equal product, as short as can be."""
    i = j = 0
    while i < len(source) or j < len(made):
        start_i, start_j = i, j
        left = source[i] if i < len(source) else 1
        right = made[j] if j < len(made) else 1
        i, j = min(i + 1, len(source)), min(j + 1, len(made))
        while left != right:
            if left < right:
                left *= source[i]
                i += 1
            else:
                right *= made[j]
                j += 1
        yield range(start_i, i), range(start_j, j)


def _behind(node: ir.Node, box: Box, source: Sequence[int], made: Sequence[int]) -> Box | Stack:
    """The input boxes behind an output box, run of axes by run of axes."""
    found: list[tuple[Box, ...]] = []
    for reads, makes in _groups(source, made):
        pieces = list(_spans(box, made, makes))
        found.append(tuple(_unflatten(node, span, source, reads) for span in pieces))
    several = [index for index, boxes in enumerate(found) if len(boxes) > 1]
    if not several:
        return tuple(interval for boxes in found for interval in boxes[0])
    if len(several) > 1:
        refuse(node, "what it reads lies in pieces on more than one axis")
    return _stacked(node, found, several[0], source)


def _stacked(node: ir.Node, found: Sequence[tuple[Box, ...]], group: int, source: Sequence[int]) -> Stack:
    """Pieces behind one another; they must differ on a single axis, with nothing before it that is cut."""
    before = sum(len(boxes[0]) for boxes in found[:group])
    wide = [axis for axis, interval in enumerate(found[group][0]) if source[before + axis] > 1]
    if len(wide) != 1:
        refuse(node, "what it reads lies in pieces on more than one axis")
    boxes = tuple(
        tuple(interval for index, each in enumerate(found) for interval in (piece if index == group else each[0]))
        for piece in found[group]
    )
    return Stack(before + wide[0], boxes)


def _spans(box: Box, made: Sequence[int], makes: range) -> Iterator[Interval]:
    """The flat intervals that the box covers within a run of output axes, in order."""
    last = next((axis for axis in reversed(makes) if box[axis] != (0, made[axis])), makes.start)
    outer = [range(*box[axis]) for axis in makes if axis < last]
    inside = prod(made[axis] for axis in makes if axis > last)
    for place in product(*outer):
        base = 0
        for axis, index in zip(makes, place, strict=False):
            base = base * made[axis] + index
        first, end = box[last] if makes else (0, 1)
        start = base * (made[last] if makes else 1)
        yield (start + first) * inside, (start + end) * inside


def _unflatten(node: ir.Node, span: Interval, source: Sequence[int], reads: range) -> Box:
    """The box of input axes that a flat interval is; refused if it is none."""
    first, end = span
    found: list[Interval] = []
    for axis in reads:
        inside = prod(source[each] for each in reads if each > axis)
        low, high = first // inside, -(-end // inside)
        if high - low == 1 and (first, end) != (low * inside, high * inside):
            found.append((low, high))
            first, end = first - low * inside, end - low * inside
            continue
        if first % inside or end % inside:
            refuse(node, f"a bound inside a row of {inside} elements", f"keep bounds at multiples of {inside}")
        found.append((low, high))
        found += [(0, source[each]) for each in reads if each > axis]
        break
    return tuple(found)
