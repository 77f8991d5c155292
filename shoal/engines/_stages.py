"""A segment as stages: a stretch of ops for onnxruntime, then the products on packed codes that read what it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.engines import _nbits
from shoal.kernels.lowbit import Blocks, LowBit, fits, plane, product, taken
from shoal.kernels.ready import Weights, ready

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True, eq=False)
class Product:
    """x·Wᵀ over the last axis."""

    input: str
    output: str
    weights: Weights


@dataclass(frozen=True, eq=False)
class Stage:
    """What comes one after another."""

    stretch: ir.Model | None
    products: tuple[Product, ...]


def products(
    some: Sequence[Product], values: Mapping[str, NDArray[Any]], path: str, threads: int
) -> dict[str, NDArray[np.float32]]:
    """What they give, by the kernels `path`; activations that several read in one order are made ready once."""
    made_ready: dict[tuple[str, int, int], Blocks] = {}
    given = {}
    for each in some:
        (rows, columns), x = each.weights.shape, values[each.input]
        flat = x.reshape(-1, columns)
        if isinstance(each.weights, LowBit):
            first = each.weights.planes[0]
            order = (each.input, first.bits, first.group)
            if order not in made_ready:
                made_ready[order] = taken(flat, first.bits, first.group, path)
            y = product(each.weights, made_ready[order], path, threads)
        else:
            y = each.weights.product(flat, path, threads)
        given[each.output] = y.reshape(*x.shape[:-1], rows)
    return given


def staged(model: ir.Model) -> tuple[Stage, ...]:
    """The model's ops, in the fewest stages: each op in the first in which all that it reads is there.

    A weight in a format without kernels is decoded, and its product left to onnxruntime.
    """
    from shoal.graph import excerpt

    weights = _products(model)
    for source in {_source(node): None for node in weights}:
        if source is not None and _only(source, weights):
            model.graph.remove(source)
    for node in weights:
        node.replace_input_with(1, None)
    _nbits.onnxruntime_form(model)
    levels = _levels(model, weights)
    stages = []
    for level in range(max(levels.values(), default=0) + 1):
        between = [node for node in model.graph if levels[node] == level and node not in weights]
        own = [node for node in weights if levels[node] == level]
        products = tuple(_product(node, weights[node]) for node in own)
        stages.append(Stage(excerpt(model, between) if between else None, products))
    return tuple(stages)


def _products(model: ir.Model) -> dict[ir.Node, Weights]:
    """Those that kernels can do; of a weight that several read there is one copy."""
    made: dict[ir.Node, Weights | None] = {}
    found: dict[ir.Node, Weights] = {}
    for node in model.graph:
        source = _source(node) if node.op_type == "MatMul" and not node.domain else None
        if source is None:
            continue
        if source not in made:
            made[source] = _matrix(source)
        matrix = made[source]
        if matrix is not None:
            found[node] = matrix
    return found


def _source(product: ir.Node) -> ir.Node | None:
    """What makes its weights."""
    value = product.inputs[1]
    return None if value is None else value.producer()


def _matrix(source: ir.Node) -> Weights | None:
    """What a decode gives, ready for products."""
    from shoal.graph import decode

    if decode.is_decode(source):
        packed = decode.packed_of(source)
        return ready(packed.form, packed.parts[0]) if packed.turned and len(packed.parts) == 1 else None
    coded = _nbits.coded(source) if source.op_type == "DequantizeLinear" else None
    if coded is None or not np.array_equal(coded.scales.astype(np.float16).astype(np.float32), coded.scales):
        return None  # the kernels keep scales in float16
    scales, zeros, group = coded.scales, coded.zeros, coded.block
    if all((each == each[:, :1]).all() for each in (scales, zeros)):
        scales, zeros, group = scales[:, :1], zeros[:, :1], 0
    if not fits(coded.bits, group) or (group and coded.codes.shape[1] % group):
        return None
    return LowBit((plane(coded.codes, coded.bits, group, scales, zeros),))


def _only(source: ir.Node, weights: Mapping[ir.Node, Weights]) -> bool:
    """Whether nothing but such products reads it."""
    value = source.outputs[0]
    return not value.is_graph_output() and all(use.node in weights for use in value.uses())


def _levels(model: ir.Model, products: Mapping[ir.Node, Weights]) -> dict[ir.Node, int]:
    levels: dict[ir.Node, int] = {}
    for node in model.graph:
        makers = (value.producer() for value in node.inputs if value is not None)
        before = [maker for maker in makers if maker is not None]
        levels[node] = max((levels[maker] + (maker in products) for maker in before if maker in levels), default=0)
    return levels


def _product(node: ir.Node, weights: Weights) -> Product:
    from shoal.graph import access

    first = node.inputs[0]
    assert first is not None
    return Product(access.name(first), access.name(node.outputs[0]), weights)
