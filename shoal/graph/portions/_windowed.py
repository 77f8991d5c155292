"""Convolution and pooling: windows that slide over rows and columns.

Output rows [a, e) read the input rows [a·s − p, (e − 1)·s − p + d·(k − 1) + 1), of which those inside the picture
are there and the rest is padding. So a tile is padded at the border of the picture and nowhere else.
[Tang et al., arXiv 2210.08392, on halos; the interval arithmetic is that of the ONNX operators]
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from shoal.graph.access import dims
from shoal.graph.box import Box, Interval
from shoal.graph.portions.contract import Attributes, Portion, Stack, refuse, undivided, whole_on

if TYPE_CHECKING:
    import onnx_ir as ir


def conv(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Conv of any rank, stride, padding, dilation and groups; `inner` counts channels within one group."""
    groups = node.attributes.get_int("group", 1)
    if groups == 1:
        return (_dense(node, box, inner),)
    if inner is not None:
        return (_inside_groups(node, box, inner, groups),)
    per_group = dims(node.outputs[0])[1] // groups
    return tuple(_grouped(node, _with_channels(box, part), groups) for part in _runs(box[1], per_group))


def pool(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """MaxPool, AveragePool, LpPool: channel by channel."""
    undivided(node, inner)
    if len(node.outputs) > 1 and node.outputs[1].uses():
        refuse(node, "somebody reads the positions of its maxima")
    kernel = tuple(node.attributes["kernel_shape"].as_ints())
    spatial, pads = _windows(node, box[2:], kernel)
    if node.attributes.get_int("count_include_pad", 0):
        _refuse_overhang(node, pads)
    if any(max(pad) >= extent for pad, extent in zip(pads, kernel, strict=True)):
        refuse(node, f"its last window hangs over by more than the {max(kernel) - 1} that engines pad")
    floors = {"ceil_mode": 0} if node.attributes.get_int("ceil_mode", 0) else {}  # the windows fit exactly
    return (Portion(box, ((box[0], box[1], *spatial),), _padded(pads) | floors),)


def global_pool(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """GlobalAveragePool, GlobalMaxPool: channel by channel over the whole picture."""
    undivided(node, inner)
    source = dims(node.inputs[0])
    return (Portion(box, ((box[0], box[1], *((0, size) for size in source[2:])),)),)


def _dense(node: ir.Node, box: Box, inner: Interval | None) -> Portion:
    channels = inner or (0, dims(node.inputs[1])[1])
    return _make(node, box, (box[0], channels), channels, {}, bias=inner is None or inner[0] == 0)


def _grouped(node: ir.Node, box: Box, groups: int) -> Portion:
    """Whole groups, or channels of a single one."""
    made, read = dims(node.outputs[0])[1] // groups, dims(node.inputs[1])[1]
    first, last = box[1][0] // made, (box[1][1] - 1) // made
    count = last - first + 1
    return _make(node, box, (box[0], (first * read, (last + 1) * read)), (0, read), {"group": count}, bias=True)


def _inside_groups(node: ir.Node, box: Box, inner: Interval, groups: int) -> Portion:
    """The same slice of the input channels of every group."""
    read = dims(node.inputs[1])[1]
    if read == 1:
        refuse(node, "each of its groups has one input channel", "divide its output channels instead")
    whole_on(node, box, (1,), dims(node.outputs[0]), "output channels, when input channels are divided")
    plain = _make(node, box, (box[0], inner), inner, {}, bias=inner[0] == 0)
    picture = plain.reads[0]
    assert isinstance(picture, tuple)
    starts = (group * read for group in range(groups))
    boxes = tuple((box[0], (start + inner[0], start + inner[1]), *picture[2:]) for start in starts)
    return Portion(box, (Stack(1, boxes), *plain.reads[1:]), plain.attributes)


def _make(
    node: ir.Node, box: Box, front: Box, weight_channels: Interval, attributes: Attributes, *, bias: bool
) -> Portion:
    """A convolution of `box` that reads `front` (batch and channels) of its input."""
    kernel = dims(node.inputs[1])[2:]
    spatial, pads = _windows(node, box[2:], kernel)
    weight = (box[1], weight_channels, *((0, size) for size in kernel))
    reads: tuple[Box | None, ...] = ((*front, *spatial), weight)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        reads = (*reads, (box[1],) if bias else None)
    return Portion(box, reads, _padded(pads) | dict(attributes))


def _runs(channels: Interval, per_group: int) -> list[Interval]:
    """`channels` in pieces that are whole groups or lie within one."""
    first, end = channels
    inner_first, inner_end = -(-first // per_group) * per_group, end // per_group * per_group
    if inner_first > inner_end:
        return [channels]
    marks = sorted({first, inner_first, inner_end, end})
    return list(pairwise(marks))


def _with_channels(box: Box, channels: Interval) -> Box:
    return (box[0], channels, *box[2:])


def _windows(node: ir.Node, spatial: Box, kernel: Sequence[int]) -> tuple[Box, list[Interval]]:
    """The input intervals behind `spatial` output intervals, and the padding before and after each."""
    source, made = dims(node.inputs[0])[2:], dims(node.outputs[0])[2:]
    rank = len(kernel)
    strides = tuple(node.attributes.get_ints("strides", (1,) * rank) or ())
    dilations = tuple(node.attributes.get_ints("dilations", (1,) * rank) or ())
    begins = _begins(node, source, made, kernel, strides, dilations)
    intervals, pads = [], []
    for axis, (first, end) in enumerate(spatial):
        start = first * strides[axis] - begins[axis]
        stop = (end - 1) * strides[axis] - begins[axis] + dilations[axis] * (kernel[axis] - 1) + 1
        low, high = max(0, start), min(source[axis], stop)
        if low >= high:
            refuse(
                node, f"output {first}–{end} of axis {axis + 2} would see nothing but padding", "use fewer parts"
            )
        intervals.append((low, high))
        pads.append((low - start, stop - high))
    return tuple(intervals), pads


def _begins(
    node: ir.Node,
    source: Sequence[int],
    made: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    """The padding before the first element of each axis."""
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        return list(node.attributes.get_ints("pads", (0,) * 2 * len(kernel)) or ())[: len(kernel)]
    if auto == "VALID":
        return [0] * len(kernel)
    begins = []
    for size, out, extent, stride, dilation in zip(source, made, kernel, strides, dilations, strict=True):
        total = max(0, (out - 1) * stride + dilation * (extent - 1) + 1 - size)
        begins.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
    return begins


def _padded(pads: Sequence[Interval]) -> dict[str, int | str | tuple[int, ...]]:
    before, after = tuple(pad[0] for pad in pads), tuple(pad[1] for pad in pads)
    return {"pads": before + after, "auto_pad": "NOTSET"}


def _refuse_overhang(node: ir.Node, pads: Sequence[Interval]) -> None:
    """An average over padding counts what the model pads, not what rounding up adds."""
    if (node.attributes.get_string("auto_pad", "") or "").startswith("SAME"):
        return  # all of it is padding, none is rounding
    stated = list(node.attributes.get_ints("pads", (0,) * 2 * len(pads)) or ())[len(pads) :]
    if any(after > limit for (_, after), limit in zip(pads, stated, strict=True)):
        refuse(node, "it averages over padding and its last window hangs over")
