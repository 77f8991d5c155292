"""The rule for each operator. What is not listed runs whole."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from shoal.graph.access import dims, name
from shoal.graph.box import Box, Interval, full, hull
from shoal.graph.portions import _pointwise, _products, _shapes, _windowed
from shoal.graph.portions.contract import Ints, Portion, Rule, Stack, Zero, refuse
from shoal.graph.tidy import first_read

if TYPE_CHECKING:
    import onnx_ir as ir

_POINTWISE = (
    *("Abs", "Acos", "Add", "And", "Asin", "Atan", "Cast", "Ceil", "Celu", "Clip", "Cos", "Div", "Elu", "Equal"),
    *("Erf", "Exp", "Floor", "Gelu", "Greater", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Less", "Log"),
    *("Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu"),
    *("Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan"),
    *("Tanh", "ThresholdedRelu", "Where", "Xor"),
)
_REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "ReduceSumSquare"),
)
RULES: dict[str, Rule] = {
    **dict.fromkeys(_POINTWISE, _pointwise.pointwise),
    **dict.fromkeys(_REDUCTIONS, _shapes.reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _pointwise.softmax),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _windowed.pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _windowed.global_pool),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _shapes.reshape),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _pointwise.layer_normalization),
    "BatchNormalization": _pointwise.batch_normalization,
    "InstanceNormalization": _pointwise.instance_normalization,
    "GroupNormalization": _pointwise.group_normalization,
    "LRN": _pointwise.local_response,
    "Conv": _windowed.conv,
    "Gemm": _products.gemm,
    "MatMul": _products.matmul,
    "Einsum": _products.einsum,
    "Concat": _shapes.concat,
    "Slice": _shapes.sliced,
    "Transpose": _shapes.transpose,
}


def portions(node: ir.Node, box: Box, inner: Interval | None = None) -> Sequence[Portion]:
    """The nodes that make `box` of what `node` is called after, its first output that is read, one behind the other along the channels.

    Args:
        node: an op with static shapes.
        box: what to make.
        inner: only this interval of what is summed over (input channels; within each group, of a grouped
            convolution): the result is a partial sum.

    Raises:
        PlanError: the op cannot be divided so; names op and limit.
    """
    whole = full(dims(first_read(node)))
    if box == whole and inner is None:
        return (Portion(box, tuple(None if each is None else full(dims(each)) for each in node.inputs)),)
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        refuse(node, "more than its first output is read")
    rule = RULES.get(node.op_type) if not node.domain else None
    if rule is None:
        refuse(node, f"no rule for {node.op_type}")
    return rule(node, box, inner)


def boxes(node: ir.Node, box: Box, inner: Interval | None = None) -> dict[str, list[Box]]:
    """The boxes of each input that `box` of the output needs; they may overlap.

    Raises:
        PlanError: as `portions`.
    """
    found: dict[str, list[Box]] = {}
    for portion in portions(node, box, inner):
        for value, read in zip(node.inputs, portion.reads, strict=False):
            if value is None or read is None or isinstance(read, Ints | Zero):
                continue
            found.setdefault(name(value), []).extend(read.boxes if isinstance(read, Stack) else (read,))
    return found


def reads(node: ir.Node, box: Box, inner: Interval | None = None) -> dict[str, Box]:
    """The smallest box of each input around all that `box` of the output needs.

    Raises:
        PlanError: as `portions`.
    """
    return {key: reduce(hull, found) for key, found in boxes(node, box, inner).items()}


def grain(node: ir.Node, axis: int) -> int:
    """The multiple that bounds on `axis` of the output must keep (1 for most ops)."""
    return _shapes.grain(node, axis) if RULES.get(node.op_type) is _shapes.reshape else 1
