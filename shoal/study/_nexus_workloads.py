"""Workloads of the study of active messages, each as every machine sees it: messages, loops, dense products; and its check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import heappop, heappush

import numpy as np

from shoal.errors import InputError
from shoal.machines.nexus import (
    Array,
    Floats,
    Ints,
    Loops,
    MessageArray,
    Outcome,
    Sparse,
    Traffic,
    Wave,
    bfs,
    bfs_loops,
    check_total,
    pagerank,
    runs_of,
    sddmm,
    sddmm_loops,
    single,
    spmm_loops,
    spmspm,
    spmspm_loops,
    spmv,
    spmv_loops,
    sssp,
    sssp_loops,
)

SUM_WORDS = 2
MOST_INT16 = 2**15 - 1
OPS = ("spmv", "spmspm", "sddmm", "bfs", "pagerank", "sssp")


@dataclass(frozen=True, eq=False)
class Workload:
    """One kernel on one input."""

    name: str
    kernel: str
    run: Callable[[MessageArray], Outcome]
    off: Callable[[Outcome], float]  # how far its values are from a reference, in the largest value's share
    loops: tuple[Loops, ...]  # of a CGRA
    products: tuple[tuple[int, int, int], ...]  # dense, for the systolic array
    traffic: Traffic  # of the CGRA
    dense_traffic: Traffic  # of the systolic array
    useful: int  # products and sums
    values: str = "int16"
    times: int = 1  # how often loops run

    def __str__(self) -> str:
        return self.name


def workload_of(
    op: str, name: str, matrix: Sparse, array: MessageArray, depth: int, rounds: int, seed: int
) -> Workload:
    """The kernel of that name on a matrix, or on the graph whose edges are its entries, from the vertex of most edges.

    Args:
        op: of `OPS`.
        name: of the matrix.
        matrix: or graph.
        array: whose memories it has to fit into.
        depth: of the factors of SDDMM.
        rounds: of PageRank, at most.
        seed: of what else is drawn.

    Raises:
        InputError: no such kernel, or one that needs as many rows as columns.
        LimitError: more entries than all memories hold, for kernels whose matrix has to be there.
    """
    if op not in OPS:
        raise InputError(f"no kernel '{op}'", where="op", needed=", ".join(OPS))
    if op not in ("spmv", "sddmm") and matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"'{op}' of a matrix that is not square", where=name, had="×".join(map(str, matrix.shape)))
    if op not in ("spmv", "pagerank"):
        check_total({name: matrix.count + max(matrix.shape)}, array.places, array.words)
    root = int(matrix.lengths.argmax())
    made: dict[str, Callable[[], Workload]] = {
        "spmv": lambda: spmv_of(name, matrix, seed),
        "spmspm": lambda: spmspm_of(name, matrix, matrix),
        "sddmm": lambda: sddmm_of(name, matrix, depth, seed),
        "bfs": lambda: bfs_of(name, matrix, root),
        "pagerank": lambda: pagerank_of(name, matrix, rounds),
        "sssp": lambda: sssp_of(name, matrix, root),
    }
    return made[op]()


def spmv_of(name: str, matrix: Sparse, seed: int) -> Workload:
    """y = A·x; in whole numbers, if A is of such."""
    matrix = _rounded(matrix)
    x, values = _drawn(matrix, matrix.shape[1], seed)
    rows, columns = matrix.shape
    size = _words(values)
    traffic = Traffic(size * columns, (1 + size) * matrix.count, SUM_WORDS * rows, matrix.count)
    dense = Traffic(size * columns, size * rows * columns, SUM_WORDS * rows, rows * columns)
    wanted = np.bincount(matrix.row, matrix.value * x[matrix.column], rows)
    return Workload(
        f"SpMV, {name}", "SpMV", lambda array: spmv(array, matrix, x), _near(wanted), spmv_loops(matrix),
        ((rows, columns, 1),), traffic, dense, 2 * matrix.count, values,
    )  # fmt: skip


def spmspm_of(name: str, left: Sparse, right: Sparse) -> Workload:
    """C = A·B, row after row; in whole numbers, if both are of such."""
    left, right = _rounded(left), _rounded(right)
    total, size = int(right.lengths[left.column].sum()), left.shape[0] * right.shape[1]
    values = _values(left.value, right.value)
    words = _words(values)
    traffic = Traffic((1 + words) * right.count, (1 + words) * left.count, SUM_WORDS * size, total)
    rows, inner = left.shape
    dense = Traffic(
        words * inner * right.shape[1], words * rows * inner, SUM_WORDS * size, rows * inner * right.shape[1]
    )

    def off(outcome: Outcome) -> float:
        return _near(left.dense() @ right.dense())(outcome)  # only when it is known to fit

    return Workload(
        f"SpMSpM, {name}", "SpMSpM", lambda array: spmspm(array, left, right), off, spmspm_loops(left, right),
        ((rows, inner, right.shape[1]),), traffic, dense, 2 * total, values,
    )  # fmt: skip


def sddmm_of(name: str, samples: Sparse, depth: int, seed: int) -> Workload:
    """Chosen elements of U·Vᵀ; in whole numbers, if the samples are."""
    samples, (rows, columns) = _rounded(samples), samples.shape
    factors, values = _drawn(samples, (rows + columns) * depth, seed)
    u, v = np.split(factors.reshape(-1, depth), [rows])
    total, size = samples.count * (depth + 1), _words(values)
    traffic = Traffic(size * factors.size, (2 + size) * samples.count, SUM_WORDS * samples.count, total)
    dense = Traffic(size * factors.size, 0, SUM_WORDS * rows * columns, rows * columns * depth)
    wanted = samples.value * (u[samples.row] * v[samples.column]).sum(axis=1)
    return Workload(
        f"SDDMM, {name}", "SDDMM", lambda array: sddmm(array, samples, u, v), _near(wanted), sddmm_loops(samples, depth),
        ((rows, depth, columns),), traffic, dense, 2 * samples.count * depth + samples.count, values,
    )  # fmt: skip


def bfs_of(name: str, graph: Sparse, root: int) -> Workload:
    """Levels of all vertices."""
    levels, order = levels_of(graph, root)
    wave, depth, vertices = level_wave(graph, levels, order), int(levels.max()) + 1, graph.shape[0]
    traffic = Traffic(graph.count + 2 * vertices, 0, vertices, 0)
    dense = Traffic(vertices, depth * vertices * vertices, vertices, depth * vertices * vertices)
    return Workload(
        f"BFS, {name}", "BFS", lambda array: bfs(array, graph, root), _near(levels.astype(np.float64)),
        bfs_loops(graph, wave), ((vertices, vertices, 1),) * depth, traffic, dense, len(wave.vertex),
    )  # fmt: skip


def sssp_of(name: str, graph: Sparse, root: int) -> Workload:
    """Lengths of shortest ways to all vertices, as Dijkstra finds them.

    Useful are a sum and a comparison for each edge out of a vertex that is reached: what Dijkstra needs.
    """
    values = _values(graph.value)
    if graph.value.min(initial=0) < 0:
        raise InputError("an edge shorter than zero", where=name, had=f"{graph.value.min():g}")
    distances = distances_of(graph, root)
    wave, vertices, size = distance_wave(graph, root), graph.shape[0], _words(values)
    reached = int(graph.lengths[np.isfinite(distances)].sum())
    traffic = Traffic((1 + size) * graph.count + (1 + SUM_WORDS) * vertices, 0, SUM_WORDS * vertices, 0)
    dense = Traffic(
        SUM_WORDS * vertices, wave.rounds * size * vertices**2, SUM_WORDS * vertices, wave.rounds * vertices**2
    )
    return Workload(
        f"SSSP, {name}", "SSSP", lambda array: sssp(array, graph, root), _near(distances), sssp_loops(graph, wave),
        ((vertices, vertices, 1),) * wave.rounds, traffic, dense, 2 * reached, values,
    )  # fmt: skip


def pagerank_of(name: str, graph: Sparse, rounds: int) -> Workload:
    """Ranks after so many rounds at most, in float32."""
    turned = graph.transposed
    ranks, made = ranks_of(graph, rounds)
    vertices = graph.shape[0]
    traffic = Traffic(2 * vertices, 3 * graph.count, 2 * vertices, made * (graph.count + vertices), made)
    dense = Traffic(2 * vertices, 2 * vertices**2, 2 * vertices, made * vertices**2, made)
    return Workload(
        f"PageRank, {name}", "PageRank", lambda array: pagerank(array, graph, most=rounds), _near(ranks, absolute=True), spmv_loops(turned, damped=True),
        ((vertices, vertices, 1),) * made, traffic, dense, 2 * made * (graph.count + vertices), "float32", made,
    )  # fmt: skip


def spmm_of(name: str, kernel: str, weights: Sparse, inputs: Array, values: str = "int16") -> Workload:
    """A matrix of weights, pruned or not, by dense columns."""
    rows, inner = weights.shape
    width = inputs.shape[1]
    size = _words(values)
    traffic = Traffic(
        inner * width * size, weights.count * (1 + size), SUM_WORDS * rows * width, weights.count * width
    )
    dense = Traffic(inner * width * size, rows * inner * size, SUM_WORDS * rows * width, rows * inner * width)
    operands = single(inputs) if values == "float32" else inputs
    return Workload(
        name, kernel, lambda array: spmspm(array, weights, operands), _near(weights.dense() @ operands), spmm_loops(weights, width),
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


def level_wave(graph: Sparse, levels: Ints, order: Ints) -> Wave:
    """Each vertex tells its neighbours once, in the order in which they were reached."""
    lengths = graph.lengths[order]
    place = runs_of(graph.first[order], lengths)
    told = graph.column[place]
    new = np.zeros(len(told), bool)
    new[np.unique(told, return_index=True)[1]] = True
    new &= told != order[0]
    return Wave(np.repeat(order, lengths), place, told, new, new, int(levels.max()) + 1)


def distances_of(graph: Sparse, root: int) -> Floats:
    """Lengths of shortest ways from a root, infinite where none leads [Dijkstra, 1959]."""
    found, first = np.full(graph.shape[0], np.inf), graph.first
    found[root], ahead = 0.0, [(0.0, root)]
    while ahead:
        near, vertex = heappop(ahead)
        if near > found[vertex]:
            continue
        edges = slice(first[vertex], first[vertex + 1])
        for other, length in zip(graph.column[edges].tolist(), graph.value[edges].tolist(), strict=True):
            if near + length < found[other]:
                found[other] = near + length
                heappush(ahead, (near + length, other))
    return found


def distance_wave(graph: Sparse, root: int) -> Wave:
    """Vertices that got nearer in a round tell their neighbours in the next, until none does [Bellman, 1958]."""
    distance, first, front, rounds = np.full(graph.shape[0], np.inf), graph.first, [root], 0
    distance[root] = 0.0
    told: list[tuple[int, int, int, bool, bool]] = []
    while front:
        found: dict[int, None] = {}
        for vertex in front:
            for place in range(first[vertex], first[vertex + 1]):
                other, length = int(graph.column[place]), distance[vertex] + graph.value[place]
                nearer = bool(length < distance[other])
                told.append((vertex, place, other, nearer, nearer and other not in found))
                if nearer:
                    distance[other] = length
                    found[other] = None
        front, rounds = list(found), rounds + 1
    source, places, vertices, nearer_, fresh = np.array(told, np.int64).reshape(-1, 5).T
    return Wave(source, places, vertices, nearer_.astype(bool), fresh.astype(bool), rounds)


def ranks_of(graph: Sparse, rounds: int, damping: float = 0.85, near: float = 1e-7) -> tuple[Floats, int]:
    """Ranks in float64, and how many rounds they took."""
    count, degree = graph.shape[0], graph.lengths
    ranks, made, moved = np.full(count, 1.0 / count), 0, 1.0
    while made < rounds and moved >= near:
        before, made = ranks, made + 1
        given = np.bincount(graph.column, ranks[graph.row] / degree[graph.row], count)
        ranks = damping * (given + ranks[degree == 0].sum() / count) + (1 - damping) / count
        moved = float(np.abs(ranks - before).sum())
    return ranks, made


def _drawn(matrix: Sparse, count: int, seed: int) -> tuple[Floats, str]:
    """Operands for a matrix: small whole numbers, if it is of such as well."""
    values, source = _values(matrix.value), np.random.default_rng(seed)
    if values == "int16":
        return source.integers(-9, 10, count).astype(np.float64), values
    return single(source.standard_normal(count)), values


def _values(*operands: Array) -> str:
    """What an array of messages has to compute with."""
    whole = all((each == np.rint(each)).all() and np.abs(each).max(initial=0) <= MOST_INT16 for each in operands)
    return "int16" if whole else "float32"


def _rounded(matrix: Sparse) -> Sparse:
    """With values of float32, if they are no whole numbers."""
    return matrix if _values(matrix.value) == "int16" else replace(matrix, value=single(matrix.value))


def _words(values: str) -> int:
    return 1 if values == "int16" else 2


def _near(wanted: Array, absolute: bool = False) -> Callable[[Outcome], float]:
    finite = np.isfinite(wanted)
    scale = 1.0 if absolute else max(float(np.abs(wanted[finite]).max(initial=0)), 1e-30)

    def off(outcome: Outcome) -> float:
        found = outcome.values.reshape(wanted.shape)
        if (np.isfinite(found) != finite).any():
            return float("inf")
        return float(np.abs(found[finite] - wanted[finite]).max(initial=0)) / scale

    return off
