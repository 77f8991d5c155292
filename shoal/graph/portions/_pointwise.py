"""Ops that work element by element, or channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shoal.graph.access import dims
from shoal.graph.box import Box, Interval
from shoal.graph.portions.contract import Portion, Read, opset, undivided, whole_on

if TYPE_CHECKING:
    import onnx_ir as ir

SOFTMAX_BY_AXIS_FROM = 13  # the opset from which Softmax runs over one axis, not over all from it on


def broadcast(box: Box, made: Sequence[int], source: Sequence[int]) -> Box:
    """What of an input of shape `source` meets `box` of an output of shape `made`, aligned at the last axis."""
    tail = len(made) - len(source)
    return tuple(
        (0, 1) if size == 1 else box[tail + axis]  # one element is stretched over the axis
        for axis, size in enumerate(source)
    )


def pointwise(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Any number of inputs, broadcast."""
    undivided(node, inner)
    made = dims(node.outputs[0])
    return (
        Portion(box, tuple(None if each is None else broadcast(box, made, dims(each)) for each in node.inputs)),
    )


def batch_normalization(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Its four weights have one value for each channel."""
    undivided(node, inner)
    reads: tuple[Read, ...] = (box, *((box[1],) for _ in node.inputs[1:]))
    return (Portion(box, reads),)


def local_response(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """LRN sums over neighbouring channels."""
    undivided(node, inner)
    whole_on(node, box, (1,), dims(node.outputs[0]), "it normalises across channels")
    return (Portion(box, (box,)),)


def instance_normalization(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Mean and variance over the picture, channel by channel."""
    undivided(node, inner)
    shape = dims(node.outputs[0])
    whole_on(node, box, range(2, len(shape)), shape, "it normalises over the picture")
    return (Portion(box, (box, (box[1],), (box[1],))),)


def group_normalization(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Mean and variance over groups of channels."""
    undivided(node, inner)
    shape = dims(node.outputs[0])
    whole_on(node, box, range(1, len(shape)), shape, "it normalises over channels and picture")
    return (Portion(box, (box, *(tuple((0, size) for size in dims(each)) for each in node.inputs[1:]))),)


def layer_normalization(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """LayerNormalization and RMSNormalization: over the last axes."""
    undivided(node, inner)
    shape = dims(node.outputs[0])
    axis = node.attributes.get_int("axis", -1) % len(shape)
    whole_on(node, box, range(axis, len(shape)), shape, "it normalises over it")
    weights = tuple(None if each is None else broadcast(box, shape, dims(each)) for each in node.inputs[1:])
    return (Portion(box, (box, *weights)),)


def softmax(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Softmax, LogSoftmax, Hardmax."""
    undivided(node, inner)
    shape = dims(node.outputs[0])
    by_axis = opset(node) >= SOFTMAX_BY_AXIS_FROM
    axis = node.attributes.get_int("axis", -1 if by_axis else 1) % len(shape)
    whole_on(node, box, (axis,) if by_axis else range(axis, len(shape)), shape, "its sum runs over it")
    return (Portion(box, (box,)),)
