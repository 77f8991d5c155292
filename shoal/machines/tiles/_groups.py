"""A graph as work for a tile engine, op by op or in groups."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from shoal.errors import ModelError
from shoal.graph import Graph, Op
from shoal.machines.tiles.contract import Group, Work

PRODUCTS = frozenset(("Conv", "Gemm", "MatMul"))
BY_VALUE = frozenset(("Add", "Clip", "Div", "Erf", "Exp", "LayerNormalization", "Mul", "Relu", "Resize", "Sigmoid",
                      "Softmax", "Sqrt", "Sub", "Tanh"))  # fmt: skip


def works_of(graph: Graph) -> tuple[Work, ...]:
    """The graph's ops as an engine counts them.

    Raises:
        ModelError: an op that no unit does.
    """
    return tuple(_work(graph, op) for op in graph.ops)


def groups_of(graph: Graph, fused: bool) -> tuple[Group, ...]:
    """Each op by itself; or `fused`: each product with what alone reads its result, value by value, and so on.

    Raises:
        ModelError: an op that no unit does.
    """
    works = works_of(graph)
    if not fused:
        return tuple(Group((work,)) for work in works)
    return tuple(Group(tuple(works[at] for at in part)) for part in _runs(graph))


def _runs(graph: Graph) -> Iterator[list[int]]:
    """Indices of ops that run as one, in the order of their last ones: what else they read is there by then."""
    taken: set[int] = set()
    found: list[list[int]] = []
    for index in range(len(graph.ops)):
        if index in taken:
            continue
        run = [index]
        while (following := _following(graph, run[-1])) is not None and following not in taken:
            run.append(following)
        taken |= set(run)
        found.append(run)
    yield from sorted(found, key=lambda run: run[-1])


def _following(graph: Graph, index: int) -> int | None:
    """The op that alone reads what this one gives, if it goes over values one by one."""
    (out, *others) = graph.ops[index].outputs
    readers = set(graph.consumers[out])
    if others or len(readers) != 1 or out in graph.finals:
        return None
    (reader,) = readers
    return reader if graph.ops[reader].kind in BY_VALUE else None


def _work(graph: Graph, op: Op) -> Work:
    reads, writes = ({name: prod(graph.tensors[name].shape) for name in names} for names in (op.inputs, op.outputs))
    weights = sum(prod(graph.weights[name].shape) for name in op.weights)
    if op.kind in BY_VALUE:
        return Work(op.name, op.kind, reads, writes, weights)
    if op.kind not in PRODUCTS or not op.weights:
        raise ModelError(f"'{op.kind}' has no unit in a tile engine", where=op.name,
                         needed=", ".join(sorted(PRODUCTS | BY_VALUE)))  # fmt: skip
    shape = graph.tensors[op.outputs[0]].shape
    rows = shape[1] if op.kind == "Conv" else shape[-1]
    places = prod(shape) // rows
    return Work(op.name, op.kind, reads, writes, weights, rows, op.macs // (rows * places), places)
