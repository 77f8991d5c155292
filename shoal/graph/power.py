"""A rough forecast of how large activations are when weights are random and He-scaled.

Kept: the mean square of each tensor, from 1 at the inputs. Good to a small factor, which is all that scaling the
last layer needs; nothing else may build on it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from shoal.graph import access

if TYPE_CHECKING:
    import onnx_ir as ir

# By kind: mean square out, from those of the activations in.
# Half-normal: its maximum over a window is about twice, its mean squared 1 / pi ≈ 0.32 of its mean square.
RULES: dict[str, Callable[[list[float]], float]] = {
    "Conv": lambda squares: 2 * squares[0],
    "ConvTranspose": lambda squares: 2 * squares[0],
    "Gemm": lambda squares: 2 * squares[0],
    "Relu": lambda squares: squares[0] / 2,
    "Clip": lambda squares: min(squares[0] / 2, 18.0),
    "Add": sum,
    "Sum": sum,
    "Sub": sum,
    "Mul": lambda squares: float(prod(squares)),
    "MaxPool": lambda squares: 2 * squares[0],
    "AveragePool": lambda squares: 0.32 * squares[0],
    "GlobalAveragePool": lambda squares: 0.32 * squares[0],
    "ReduceMean": lambda squares: 0.32 * squares[0],
    "Sigmoid": lambda _: 0.25,
    "HardSigmoid": lambda _: 0.25,
    "Tanh": lambda squares: min(squares[0], 1.0),
    "Softmax": lambda _: 0.01,
    "LayerNormalization": lambda _: 1.0,
}


def mean_squares(model: ir.Model) -> dict[str, float]:
    """Tensor name to its expected mean square under random weights and inputs of mean square one."""
    squares = {access.name(value): 1.0 for value in model.graph.inputs}
    for node in model.graph:
        given = [squares[value.name or ""] for value in node.inputs if value is not None and value.name in squares]
        result = _forecast(node, given) if given else 1.0
        squares.update((value.name, result) for value in node.outputs if value.name)
    return squares


def _forecast(node: ir.Node, given: list[float]) -> float:
    if node.op_type == "MatMul" and len(given) == 1:
        return 2 * given[0]
    if node.op_type == "Concat":
        parts = [value for value in node.inputs if value is not None and not value.is_initializer()]
        sizes = [prod(access.dims(value)) for value in parts]
        return sum(size * square for size, square in zip(sizes, given, strict=True)) / sum(sizes)
    return RULES.get(node.op_type, max)(given)
