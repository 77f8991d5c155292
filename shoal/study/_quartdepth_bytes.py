"""Bytes that a network's tensors take in few bits, from its graph alone: what an accelerator's main memory has to move."""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.graph import Graph
    from shoal.machines.tiles import Widths

FULL_BITS = 32  # of weights of one axis: biases, factors


def tensors_bytes(graph: Graph, widths: Widths, fused: bool) -> int:
    """Every op's weights once, each tensor once for each op that reads it and once when it is made.

    With `fused`, those that a single following op of a kind without weights reads stay on the chip.
    """
    activations = {name: ceil(prod(each.shape) * widths.activations / 8) for name, each in graph.tensors.items()}
    inner = _inner(graph) if fused else set()
    moved = sum(activations[name] for op in graph.ops for name in (*op.inputs, *op.outputs) if name not in inner)
    stored = 0
    for name in (name for op in graph.ops for name in op.weights):
        shape = graph.weights[name].shape
        bits = widths.weights if len(shape) > 1 else FULL_BITS
        stored += ceil(prod(shape) * bits / 8)
    return moved + stored


def _inner(graph: Graph) -> set[str]:
    """Tensors that one op makes and one op reads, which is no product; of an op that could take two, the first."""
    found: set[str] = set()
    for op in graph.ops:
        if op.kind in ("Conv", "Gemm", "MatMul"):
            continue
        own = [name for name in op.inputs if len(graph.consumers[name]) == 1 and name in graph.producer]
        found |= set(sorted(own, key=lambda name: graph.producer[name])[:1])
    return found - graph.finals
