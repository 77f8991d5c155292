"""Kernels as loops for a CGRA: their bodies, and the address of each load and store of every iteration.

Words of the memories stand one tensor after another. Streams from outside have no addresses: elements of A row after row
with a flag where a row begins, and of SpMSpM and SDDMM where the rows that belong to an element begin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.machines.nexus import _bodies as bodies
from shoal.machines.nexus._lanes import Body
from shoal.machines.nexus._schedules import Columns, Flat, Inner, Loops, Slices
from shoal.machines.nexus._sparse import Ints, Sparse

SKEWS = 8  # words by which a tensor may be laid out after another
STREAM = frozenset({"a", "index", "begins"})
WEIGHTED = Body(bodies.weighted, STREAM | {"y"})
WEIGHTED_ROW = Body(bodies.weighted_row, STREAM)
DAMPED = Body(bodies.damped, STREAM | {"y"})
WIDE = Body(bodies.weighted, frozenset({"x", "y"}))
WIDE_ROW = Body(bodies.weighted_row, frozenset({"x"}))
GUSTAVSON = Body(bodies.gustavson, frozenset({"a", "row", "begin"}))
GUSTAVSON_ROW = Body(bodies.gustavson_row, frozenset({"b"}), apart=True)
SAMPLED_ROW = Body(bodies.sampled_row, frozenset({"u", "v"}))
LEVELLED = Body(bodies.levelled, frozenset({"first", "graph", "found"}))
LEVELLED_ROW = Body(bodies.levelled_row, frozenset({"graph", "found"}), apart=True)
RELAXED = Body(bodies.relaxed, frozenset({"first", "graph", "found"}))
RELAXED_ROW = Body(bodies.relaxed_row, frozenset({"graph", "found"}), apart=True)


@dataclass(frozen=True, eq=False)
class Wave:
    """What vertices tell their neighbours, one after another, in rounds."""

    source: Ints  # the vertex that tells
    place: Ints  # of the edge in the graph
    vertex: Ints  # that is told
    nearer: NDArray[np.bool_]  # is it nearer by that
    fresh: NDArray[np.bool_]  # is it the first time in its round
    rounds: int


def spmv_loops(matrix: Sparse, damped: bool = False) -> tuple[Loops, ...]:
    """y = A·x, or a round of PageRank."""
    x = matrix.column
    y = np.where(_ends(matrix.lengths), matrix.shape[1] + matrix.row, -1)
    outer = 4 if damped else 2
    return (Flat(DAMPED if damped else WEIGHTED, {"load x": x, "store y": y}, matrix.count),
            Slices(WEIGHTED_ROW, {"load x": x}, matrix.lengths, outer),
            Inner(WEIGHTED_ROW, {"load x": x}, matrix.lengths, outer, sums=True))  # fmt: skip


def spmm_loops(matrix: Sparse, width: int) -> tuple[Loops, ...]:
    """C = A·B with a dense B of so many columns."""
    return (Columns(WIDE, matrix.lengths, matrix.column, width, flat=True),
            Columns(WIDE_ROW, matrix.lengths, matrix.column, width, flat=False))  # fmt: skip


def spmspm_loops(left: Sparse, right: Sparse) -> tuple[Loops, ...]:
    """C = A·B, row after row."""
    lengths = right.lengths[left.column]
    b = runs_of(right.first[left.column], lengths)
    c = right.count + np.repeat(left.row, lengths) * right.shape[1] + right.column[b]
    asked = {"load b": b, "load c": c, "store c": c}
    return Flat(GUSTAVSON, asked, len(b)), Inner(GUSTAVSON_ROW, asked, lengths, outer=4, sums=False)


def sddmm_loops(samples: Sparse, depth: int) -> tuple[Loops, ...]:
    """Chosen elements of U·Vᵀ: all of a sample an iteration, or one product; V is laid out in the banks as suits the loop."""
    u, v = samples.row * depth, (samples.shape[0] + samples.column) * depth
    out = (sum(samples.shape) + 1) * depth + SKEWS + np.arange(samples.count)
    whole = Body(bodies.sampled, frozenset({"left", "right", "scale", "out"}), (("depth", depth),))
    steps, lengths = np.arange(depth), np.full(samples.count, depth)
    found: list[Loops] = []
    for skew in range(SKEWS):  # of the first element of V
        found.append(Flat(whole, {"load u": u, "load v": v + skew, "store out": out}, samples.count))
        rows = {"load u": (u[:, None] + steps).ravel(), "load v": (v[:, None] + skew + steps).ravel()}
        found.append(Inner(SAMPLED_ROW, rows, lengths, outer=5, sums=True))
    return tuple(found)


def bfs_loops(graph: Sparse, wave: Wave) -> tuple[Loops, ...]:
    """Levels: a vertex that is new is told once."""
    return _wave_loops(graph, wave, LEVELLED, LEVELLED_ROW, {
        "load level": wave.vertex, "store level": np.where(wave.nearer, wave.vertex, -1)}, 1)  # fmt: skip


def sssp_loops(graph: Sparse, wave: Wave) -> tuple[Loops, ...]:
    """Shortest paths: a vertex is told again in rounds after one in which it got nearer."""
    vertices, vertex, source = graph.shape[0], wave.vertex, np.where(_begins(wave.source), wave.source, -1)
    told = np.where(wave.nearer, vertex, -1)
    return _wave_loops(graph, wave, RELAXED, RELAXED_ROW, {
        "load near": source, "load distance": vertex, "store distance": told, "load mark": vertices + vertex,
        "store mark": np.where(wave.nearer, vertices + vertex, -1)}, 2)  # fmt: skip


def _wave_loops(
    graph: Sparse, wave: Wave, flat: Body, row: Body, own: dict[str, Ints], of_vertex: int
) -> tuple[Loops, ...]:
    """Words of vertices, of which each has so many, then where their edges begin, the edges, and two queues."""
    first = of_vertex * graph.shape[0]
    edges, queue = first + graph.shape[0], first + graph.shape[0] + graph.count
    begins = _begins(wave.source)
    asked = {
        **own, "load graph": edges + wave.place, "load first": np.where(begins, first + wave.source, -1),
        "load queue": np.where(begins, queue + np.cumsum(begins) - 1, -1),
        "store found": np.where(wave.fresh, queue + graph.shape[0] + np.cumsum(wave.fresh) - 1, -1),
    }  # fmt: skip
    lengths = np.diff(np.append(np.flatnonzero(begins), len(begins)))
    return Flat(flat, asked, len(wave.vertex), wave.rounds), Inner(row, asked, lengths, outer=5, sums=False)


def runs_of(first: Ints, lengths: Ints) -> Ints:
    """Of runs that begin at `first`, all elements one after another."""
    ends = np.cumsum(lengths)
    return np.asarray(np.arange(int(lengths.sum())) + np.repeat(first - (ends - lengths), lengths), np.int64)


def _begins(source: Ints) -> NDArray[np.bool_]:
    """Where another vertex begins to tell."""
    return np.append(True, source[1:] != source[:-1])[: len(source)]


def _ends(lengths: Ints) -> NDArray[np.bool_]:
    """Which elements are the last of their row."""
    found = np.zeros(int(lengths.sum()), bool)
    found[np.cumsum(lengths)[lengths > 0] - 1] = True
    return found
