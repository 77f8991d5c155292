"""Workloads of the study of active messages, each as every machine sees it: messages, loops, dense products; and its check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shoal.machines.nexus import (
    Loop,
    Loops,
    MessageArray,
    Outcome,
    Sparse,
    Traffic,
    VectorLoop,
    bfs,
    pagerank,
    sddmm,
    single,
    spmspm,
    spmv,
)
from shoal.machines.nexus._sparse import Array, Floats, Ints

SUM_WORDS = 2


@dataclass(frozen=True, eq=False)
class Workload:
    """One kernel on one input."""

    name: str
    kernel: str
    run: Callable[[MessageArray], Outcome]
    off: Callable[[Outcome], float]  # how far its values are from a reference, in the largest value's share
    loops: Loops
    products: tuple[tuple[int, int, int], ...]  # dense, for the systolic array
    traffic: Traffic  # of the CGRA
    dense_traffic: Traffic  # of the systolic array
    useful: int  # products and sums
    values: str = "int16"
    times: int = 1  # how often loops run

    def __str__(self) -> str:
        return self.name


def spmv_of(name: str, matrix: Sparse, seed: int) -> Workload:
    """y = A·x in whole numbers."""
    x = np.random.default_rng(seed).integers(-9, 10, matrix.shape[1]).astype(np.float64)
    rows, columns = matrix.shape
    loops = Loop(matrix.lengths, (matrix.column,), streams=1, work=3, steps=1, outer=2, outer_streams=1, chain=1)
    traffic = Traffic(columns, 2 * matrix.count, SUM_WORDS * rows, matrix.count)
    dense = Traffic(columns, rows * columns, SUM_WORDS * rows, rows * columns)
    return Workload(
        f"SpMV, {name}", "SpMV", lambda array: spmv(array, matrix, x), _near(matrix.dense() @ x), loops,
        ((rows, columns, 1),), traffic, dense, 2 * matrix.count,
    )  # fmt: skip


def spmspm_of(name: str, left: Sparse, right: Sparse) -> Workload:
    """C = A·B in whole numbers, row after row."""
    lengths = right.lengths[left.column]
    at = _flat(right.first[left.column], lengths)
    column = right.column[at]
    row = np.repeat(left.row, lengths)
    total, size = int(lengths.sum()), left.shape[0] * right.shape[1]
    loops = Loop(
        lengths, (row * right.shape[1] + column,) * 2, streams=1, work=3, steps=1, outer=6, outer_streams=2, chain=3
    )
    traffic = Traffic(2 * right.count, 2 * left.count, SUM_WORDS * size, total)
    rows, inner = left.shape
    dense = Traffic(inner * right.shape[1], rows * inner, SUM_WORDS * size, rows * inner * right.shape[1])
    return Workload(
        f"SpMSpM, {name}", "SpMSpM", lambda array: spmspm(array, left, right), _near(left.dense() @ right.dense()), loops,
        ((rows, inner, right.shape[1]),), traffic, dense, 2 * total,
    )  # fmt: skip


def sddmm_of(name: str, samples: Sparse, depth: int, seed: int) -> Workload:
    """Chosen elements of U·Vᵀ in whole numbers."""
    source = np.random.default_rng(seed)
    u, v = (source.integers(-9, 10, (size, depth)).astype(np.float64) for size in samples.shape)
    steps = np.arange(depth)
    lengths = np.full(samples.count, depth)
    gathers = ((samples.row[:, None] * depth + steps).ravel(),
               (u.size + samples.column[:, None] * depth + steps).ravel())  # fmt: skip
    loops = Loop(lengths, gathers, streams=0, work=2, steps=2, outer=6, outer_streams=2, chain=1)
    total = samples.count * (depth + 1)
    words = u.size + v.size
    traffic = Traffic(words, 3 * samples.count, SUM_WORDS * samples.count, total)
    dense = Traffic(
        words, 0, SUM_WORDS * samples.shape[0] * samples.shape[1], samples.shape[0] * samples.shape[1] * depth
    )
    wanted = samples.value * (u[samples.row] * v[samples.column]).sum(axis=1)
    return Workload(
        f"SDDMM, {name}", "SDDMM", lambda array: sddmm(array, samples, u, v), _near(wanted), loops,
        ((samples.shape[0], depth, samples.shape[1]),), traffic, dense, 2 * samples.count * depth + samples.count,
    )  # fmt: skip


def bfs_of(name: str, graph: Sparse, root: int) -> Workload:
    """Levels of all vertices."""
    levels, order = levels_of(graph, root)
    lengths = graph.lengths[order]
    told = graph.column[_flat(graph.first[order], lengths)]
    depth = int(levels.max()) + 1
    # level read, level and queue written where it is new; own queues, so lanes do not wait for one another
    first = np.zeros(len(told), bool)
    first[np.unique(told, return_index=True)[1]] = True
    gathers = (told, np.where(first, told, -1), np.where(first, np.cumsum(first), -1))
    loops = Loop(lengths, gathers, streams=1, work=1, steps=3, outer=5, outer_streams=2, chain=3, starts=depth)
    vertices = graph.shape[0]
    traffic = Traffic(graph.count + 2 * vertices, 0, vertices, 0)
    dense = Traffic(vertices, depth * vertices * vertices, vertices, depth * vertices * vertices)
    return Workload(
        f"BFS, {name}", "BFS", lambda array: bfs(array, graph, root), _near(levels.astype(np.float64)), loops,
        ((vertices, vertices, 1),) * depth, traffic, dense, len(told),
    )  # fmt: skip


def pagerank_of(name: str, graph: Sparse, rounds: int) -> Workload:
    """Ranks after so many rounds at most, in float32."""
    turned = graph.transposed
    ranks, made = ranks_of(graph, rounds)
    loops = Loop(turned.lengths, (turned.column,), streams=1, work=3, steps=1, outer=4, outer_streams=1, chain=1)
    vertices = graph.shape[0]
    traffic = Traffic(2 * vertices, 3 * graph.count, 2 * vertices, made * (graph.count + vertices), made)
    dense = Traffic(2 * vertices, 2 * vertices**2, 2 * vertices, made * vertices**2, made)
    return Workload(
        f"PageRank, {name}", "PageRank", lambda array: pagerank(array, graph, most=rounds), _near(ranks, absolute=True), loops,
        ((vertices, vertices, 1),) * made, traffic, dense, 2 * made * (graph.count + vertices), "float32", made,
    )  # fmt: skip


def spmm_of(name: str, kernel: str, weights: Sparse, inputs: Array, values: str = "int16") -> Workload:
    """A matrix of weights, pruned or not, by dense columns."""
    rows, inner = weights.shape
    width = inputs.shape[1]
    size = 1 if values == "int16" else 2
    loops = VectorLoop(weights.lengths, weights.column, width)
    traffic = Traffic(
        inner * width * size, weights.count * (1 + size), SUM_WORDS * rows * width, weights.count * width
    )
    dense = Traffic(inner * width * size, rows * inner * size, SUM_WORDS * rows * width, rows * inner * width)
    operands = single(inputs) if values == "float32" else inputs
    return Workload(
        name, kernel, lambda array: spmspm(array, weights, operands), _near(weights.dense() @ operands), loops,
        ((rows, inner, width),), traffic, dense, 2 * weights.count * width, values,
    )  # fmt: skip


def levels_of(graph: Sparse, root: int) -> tuple[Ints, Ints]:
    """Levels of all vertices, -1 where none leads; and those that are reached, in order."""
    levels = np.full(graph.shape[0], -1)
    levels[root], order, first = 0, [root], graph.first
    for vertex in order:  # grows
        for other in graph.column[first[vertex] : first[vertex + 1]].tolist():
            if levels[other] < 0:
                levels[other] = levels[vertex] + 1
                order.append(other)
    return levels, np.array(order)


def ranks_of(graph: Sparse, rounds: int, damping: float = 0.85, near: float = 1e-7) -> tuple[Floats, int]:
    """Ranks in float64, and how many rounds they took."""
    count, degree = graph.shape[0], graph.lengths
    share = graph.dense().T / np.maximum(degree, 1)
    ranks, made, moved = np.full(count, 1.0 / count), 0, 1.0
    while made < rounds and moved >= near:
        before, made = ranks, made + 1
        ranks = damping * (share @ ranks + ranks[degree == 0].sum() / count) + (1 - damping) / count
        moved = float(np.abs(ranks - before).sum())
    return ranks, made


def _near(wanted: Array, absolute: bool = False) -> Callable[[Outcome], float]:
    scale = 1.0 if absolute else max(float(np.abs(wanted).max(initial=0)), 1e-30)

    def off(outcome: Outcome) -> float:
        return float(np.abs(outcome.values.reshape(wanted.shape) - wanted).max(initial=0)) / scale

    return off


def _flat(first: Ints, lengths: Ints) -> Ints:
    """Of runs that begin at `first`, all elements one after another."""
    ends = np.cumsum(lengths)
    return np.asarray(np.arange(int(lengths.sum())) + np.repeat(first - (ends - lengths), lengths), np.int64)
