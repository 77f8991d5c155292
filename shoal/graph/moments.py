"""A rough forecast of how large activations are when weights are random and He-scaled.

Each tensor is taken as normal with one mean and variance, from 0 and 1 at the inputs. Good to a small factor,
which is all that scaling the last layer needs; nothing else may build on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, exp, pi, prod, sqrt
from typing import TYPE_CHECKING

from shoal.graph import access

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Moments:
    """Mean and variance over a tensor's elements and over weights."""

    mean: float
    variance: float

    @property
    def mean_square(self) -> float:
        """The second moment about zero."""
        return self.mean**2 + self.variance


def forecast(model: ir.Model) -> dict[str, Moments]:
    """Tensor name to its expected moments under random weights and standard normal inputs."""
    found = {access.name(value): Moments(0.0, 1.0) for value in model.graph.inputs}
    for node in model.graph:
        given = [found[value.name or ""] for value in node.inputs if value is not None and value.name in found]
        result = _after(node, given) if given else Moments(0.0, 1.0)
        found.update((value.name, result) for value in node.outputs if value.name)
    return found


def _after(node: ir.Node, given: list[Moments]) -> Moments:
    if node.op_type == "MatMul" and len(given) == 1:
        return _product(given)
    if node.op_type == "Concat":
        return _mixture(node, given)
    rule = RULES.get(node.op_type)
    return rule(given) if rule else max(given, key=lambda moments: moments.mean_square)


def _product(given: list[Moments]) -> Moments:
    """Weights of mean 0 and variance 2 / fan-in against the first input."""
    return Moments(0.0, 2 * given[0].mean_square)


def _relu(given: list[Moments]) -> Moments:
    """A normal cut off below zero, in closed form."""
    mean, deviation = given[0].mean, sqrt(given[0].variance)
    if deviation == 0:
        return Moments(max(mean, 0.0), 0.0)
    ratio = mean / deviation
    below, density = (1 + erf(ratio / sqrt(2))) / 2, exp(-(ratio**2) / 2) / sqrt(2 * pi)
    first = mean * below + deviation * density
    second = given[0].mean_square * below + mean * deviation * density
    return Moments(first, max(second - first**2, 0.0))


def _sum(given: list[Moments]) -> Moments:
    return Moments(sum(one.mean for one in given), sum(one.variance for one in given))


def _multiplied(given: list[Moments]) -> Moments:
    mean = prod(one.mean for one in given)
    return Moments(mean, max(prod(one.mean_square for one in given) - mean**2, 0.0))


def _largest(given: list[Moments]) -> Moments:
    """The largest of a small window: about one deviation up."""
    return Moments(given[0].mean + sqrt(given[0].variance), given[0].variance)


def _average(given: list[Moments]) -> Moments:
    """Channels keep a mean of their own, so averaging positions takes away only part of the variance."""
    return Moments(given[0].mean, given[0].variance / 2)


def _mixture(node: ir.Node, given: list[Moments]) -> Moments:
    parts = [value for value in node.inputs if value is not None and not value.is_initializer()]
    sizes = [prod(access.dims(value)) for value in parts]
    shares = [size / sum(sizes) for size in sizes]
    mean = sum(share * one.mean for share, one in zip(shares, given, strict=True))
    square = sum(share * one.mean_square for share, one in zip(shares, given, strict=True))
    return Moments(mean, max(square - mean**2, 0.0))


RULES: dict[str, Callable[[list[Moments]], Moments]] = {
    "Conv": _product,
    "ConvTranspose": _product,
    "Gemm": _product,
    "Relu": _relu,
    "Clip": _relu,
    "Add": _sum,
    "Sum": _sum,
    "Mul": _multiplied,
    "MaxPool": _largest,
    "AveragePool": _average,
    "GlobalAveragePool": _average,
    "ReduceMean": _average,
    "Sigmoid": lambda _: Moments(0.5, 0.05),
    "HardSigmoid": lambda _: Moments(0.5, 0.05),
    "Tanh": lambda _: Moments(0.0, 0.5),
    "Softmax": lambda _: Moments(0.0, 0.01),
    "LayerNormalization": lambda _: Moments(0.0, 1.0),
}
