"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shoal.graph.access import dims
from shoal.graph.box import Box, Interval
from shoal.graph.portions._pointwise import broadcast
from shoal.graph.portions.contract import Portion, Read, Zero, opset, refuse, undivided, whole_on

if TYPE_CHECKING:
    import onnx_ir as ir

BIAS_OPTIONAL_FROM = 11  # the opset from which Gemm may go without


def gemm(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Y = alpha · A' · B' + beta · C; the bias is added once, by the part that has the first input channel."""
    rows, columns = box
    turned = [bool(node.attributes.get_int(name, 0)) for name in ("transA", "transB")]
    depth = inner or (0, dims(node.inputs[0])[0 if turned[0] else 1])
    left = (depth, rows) if turned[0] else (rows, depth)
    right = (columns, depth) if turned[1] else (depth, columns)
    reads: tuple[Read, ...] = (left, right)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        first = inner is None or inner[0] == 0
        nothing = None if opset(node) >= BIAS_OPTIONAL_FROM else Zero(1)
        reads = (*reads, broadcast(box, dims(node.outputs[0]), dims(node.inputs[2])) if first else nothing)
    return (Portion(box, reads),)


def matmul(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Stacked products, the stacks broadcast."""
    left, right, made = dims(node.inputs[0]), dims(node.inputs[1]), dims(node.outputs[0])
    if len(left) < 2 or len(right) < 2:
        whole_on(node, box, range(len(made)), made, "a product with a vector")
        if inner is not None:
            refuse(node, "a product with a vector")
        return (Portion(box, (tuple((0, size) for size in left), tuple((0, size) for size in right))),)
    depth = inner or (0, left[-1])
    stack = box[:-2]
    return (
        Portion(
            box,
            (
                (*broadcast(stack, made[:-2], left[:-2]), box[-2], depth),
                (*broadcast(stack, made[:-2], right[:-2]), depth, box[-1]),
            ),
        ),
    )


def einsum(node: ir.Node, box: Box, inner: Interval | None) -> Sequence[Portion]:
    """Letters of the result come from the box; what is summed over is read whole."""
    undivided(node, inner)
    left, arrow, made = node.attributes["equation"].as_string().replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow or "." in left or any(len(set(term)) < len(term) for term in (*terms, made)):
        refuse(node, "its equation leaves axes unnamed, or names one twice")
    spans = dict(zip(made, box, strict=True))
    return (
        Portion(
            box,
            tuple(
                tuple((0, 1) if size == 1 else spans.get(letter, (0, size))
                      for letter, size in zip(term, dims(value), strict=True))
                for term, value in zip(terms, node.inputs, strict=True)
            ),
        ),
    )  # fmt: skip
