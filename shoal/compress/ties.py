"""Layers whose outputs are added up: they share the format of their activations, so that the sum runs on codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shoal.graph import Graph

SUMS = frozenset(("Add", "Sum"))
PASSING = frozenset(("Relu", "Clip", "BatchNormalization", "Identity", "Add", "Sum"))


def ties_of(graph: Graph, layers: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of layers, by op, joined by sums: what is added to a sum of others is tied to all of them."""
    own = set(layers)
    groups: dict[str, set[str]] = {op: {op} for op in layers}
    for op in graph.ops:
        if op.kind in SUMS and len(op.inputs) > 1:
            joined = set().union(
                *(groups[maker] for name in op.inputs for maker in _makers(graph, name, own)), set()
            )
            for member in joined:
                groups[member] = joined
    kept: dict[int, tuple[str, ...]] = {}
    for layer in layers:
        if len(groups[layer]) > 1:
            kept.setdefault(id(groups[layer]), tuple(each for each in layers if each in groups[layer]))
    return tuple(kept.values())


def _makers(graph: Graph, name: str, layers: set[str]) -> Iterator[str]:
    """The layers whose outputs reach the tensor through nothing but activations and sums."""
    waiting, met = [name], set[str]()
    while waiting:
        each = waiting.pop()
        index = graph.producer.get(each)
        if index is None or each in met:
            continue
        met.add(each)
        op = graph.ops[index]
        if op.name in layers:
            yield op.name
        elif op.kind in PASSING:
            waiting.extend(op.inputs)
