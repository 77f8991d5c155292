"""A graph with random weights of a sensible size, made from a seed when read.

For models whose own weights say nothing (one constant everywhere) or may not be shared: outputs come out
finite, unequal and the same for the same seed. Scales follow He et al., "Delving Deep into Rectifiers", 2015.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from functools import partial
from math import prod, sqrt
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shoal.graph import access, weights
from shoal.graph.moments import forecast
from shoal.graph.values import Graph

if TYPE_CHECKING:
    import onnx_ir as ir

FLOATS = frozenset(("float16", "bfloat16", "float32", "float64"))
BIAS_STD = 0.01
# Between the ops that make scores and the Softmax that reads them.
PASSING = frozenset(
    (
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Relu",
        "Add",
        "GlobalAveragePool",
        "AveragePool",
        "ReduceMean",
    )
)

Fill = Callable[[np.random.Generator, tuple[int, ...]], npt.NDArray[np.float32]]


def seeded(graph: Graph, seed: int) -> Graph:
    """`graph` with every trained weight replaced by random values of `seed`; structure and names stay.

    Matrices and kernels are normal with deviation sqrt(2 / fan-in), biases near zero, normalisation scales
    and variances 1 ± 0.1, means ± 0.1. The last product before a Softmax is scaled for scores of deviation
    about one, so that the Softmax does not saturate. Integers and constants of no such role stay.
    """
    model = graph.model.clone()
    heads = _head_deviations(model)
    for name, value in model.graph.initializers.items():
        fill = _fill(value, heads.get(name))
        if fill is not None and graph.weights[name].dtype in FLOATS:
            shape = graph.weights[name].shape
            make = partial(_make, fill, seed, name, shape, access.data(value).dtype.numpy())
            value.const_value = weights.lazy(make, access.data(value).dtype, shape)
    digest = hashlib.sha256(f"{graph.sha256}:seed {seed}".encode()).hexdigest()
    return dataclasses.replace(graph, model=model, sha256=digest)


def _make(
    fill: Fill, seed: int, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]
) -> npt.NDArray[np.generic]:
    digest = hashlib.sha256(name.encode()).digest()
    generator = np.random.default_rng([seed, *np.frombuffer(digest, np.uint32).tolist()])
    return fill(generator, shape).astype(dtype, copy=False)


def _normal(deviation: float) -> Fill:
    def fill(generator: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        values = generator.standard_normal(shape, dtype=np.float32)
        values *= np.float32(deviation)
        return values

    return fill


def _around(centre: float) -> Fill:
    """Uniform within 0.1 of `centre`."""

    def fill(generator: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        values = generator.random(shape, dtype=np.float32)
        values *= np.float32(0.2)
        values += np.float32(centre - 0.1)
        return values

    return fill


def _fill(value: ir.Value, head_deviation: float | None) -> Fill | None:
    """How to fill the weight `value`, by the role of its first reader; None leaves it."""
    if head_deviation is not None:
        return _normal(head_deviation)
    usage = next(iter(value.uses()), None)
    if usage is None or prod(access.dims(value)) <= 1:
        return None
    node, index = usage.node, usage.idx
    fan = fan_in(node, index)
    if fan:
        return _normal(sqrt(2 / fan))
    return ROLES.get((node.op_type, index))


def fan_in(node: ir.Node, index: int) -> int:
    """Products summed into one output element if input `index` of `node` is a matrix or kernel, else 0."""
    shape = access.dims(node.inputs[index])
    if node.op_type == "Conv" and index == 1:
        return prod(shape[1:])
    if node.op_type == "ConvTranspose" and index == 1:
        return max(1, shape[0] * prod(shape[2:]) // node.attributes.get_int("group", 1))
    if node.op_type == "Gemm" and index == 1:
        return shape[1] if node.attributes.get_int("transB", 0) else shape[0]
    if node.op_type == "MatMul" and len(shape) > 1:
        return shape[-2] if index == 1 else shape[-1]
    if node.op_type in ("LSTM", "GRU", "RNN") and index in (1, 2):
        return 2 * shape[2]  # deviation 1 / sqrt(width): its gates saturate above
    return 0


_BIAS, _ONE, _ZERO = _normal(BIAS_STD), _around(1.0), _around(0.0)

ROLES: dict[tuple[str, int], Fill] = {
    ("Conv", 2): _BIAS,
    ("ConvTranspose", 2): _BIAS,
    ("Gemm", 2): _BIAS,
    ("LSTM", 3): _BIAS,
    ("GRU", 3): _BIAS,
    ("RNN", 3): _BIAS,
    ("BatchNormalization", 1): _ONE,
    ("BatchNormalization", 2): _ZERO,
    ("BatchNormalization", 3): _ZERO,
    ("BatchNormalization", 4): _ONE,
    ("LayerNormalization", 1): _ONE,
    ("LayerNormalization", 2): _ZERO,
    ("InstanceNormalization", 1): _ONE,
    ("InstanceNormalization", 2): _ZERO,
    ("GroupNormalization", 1): _ONE,
    ("GroupNormalization", 2): _ZERO,
    ("PRelu", 1): _around(0.25),
    ("Gather", 0): _normal(1.0),
    ("Mul", 0): _ONE,
    ("Mul", 1): _ONE,
    ("Add", 0): _ZERO,
    ("Add", 1): _ZERO,
}


def _head_deviations(model: ir.Model) -> dict[str, float]:
    """Weight name to deviation, for the matrices whose products reach a Softmax unnormalised."""
    moments = forecast(model)
    found: dict[str, float] = {}
    for node in model.graph:
        if node.op_type not in ("Softmax", "LogSoftmax"):
            continue
        head = node.inputs[0].producer() if node.inputs[0] is not None else None
        while head is not None and head.op_type in PASSING and head.inputs[0] is not None:
            head = head.inputs[0].producer()
        if head is None or head.op_type not in ("Conv", "Gemm", "MatMul") or head.inputs[1] is None:
            continue
        fan, source = fan_in(head, 1), head.inputs[0]
        if head.inputs[1].is_initializer() and source is not None:
            power = max(moments[access.name(source)].mean_square, 1e-12)
            found[access.name(head.inputs[1])] = sqrt(1 / (fan * power))
    return found
