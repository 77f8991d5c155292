"""Seeded graphs and matrices whose non-zeros lie unevenly, or evenly."""

from __future__ import annotations

import numpy as np

from shoal.machines.nexus._sparse import Array, Sparse, sparse

QUARTERS = (0.57, 0.19, 0.19, 0.05)  # of an R-MAT graph, as in the Graph 500 benchmark


def rmat(scale: int, edges: int, seed: int = 0) -> Sparse:
    """2**scale vertices; each edge falls into one quarter of the matrix, again and again: few vertices have many edges.

    After Chakrabarti, Zhan and Faloutsos, SDM 2004; edges that fall on one another count once.
    """
    drawn = np.random.default_rng(seed).choice(4, (edges, scale), p=QUARTERS)
    bits = 1 << np.arange(scale)
    return _of_pairs(2**scale, (drawn // 2) @ bits, (drawn % 2) @ bits)


def small_world(vertices: int, neighbours: int, rewired: float, seed: int = 0) -> Sparse:
    """A ring in which each vertex knows the nearest, and a share of edges leads elsewhere (Watts and Strogatz, 1998)."""
    source = np.random.default_rng(seed)
    row = np.repeat(np.arange(vertices), neighbours // 2)
    column = (row + np.tile(np.arange(1, neighbours // 2 + 1), vertices)) % vertices
    moved = source.random(len(row)) < rewired
    column = np.where(moved, source.integers(0, vertices, len(row)), column)
    own = row == column
    column = np.where(own, (column + 1) % vertices, column)
    return _of_pairs(vertices, np.concatenate([row, column]), np.concatenate([column, row]))


def laplacian(side: int) -> Sparse:
    """The five-point Laplacian of a square grid."""
    count = side * side
    at = np.arange(count)
    parts = [(at, at, np.full(count, 4.0))]
    for step, inside in ((1, at % side < side - 1), (side, at < count - side)):
        low = at[inside]
        parts += [(low, low + step, np.full(len(low), -1.0)), (low + step, low, np.full(len(low), -1.0))]
    row, column, value = (np.concatenate(each) for each in zip(*parts, strict=True))
    return sparse((count, count), row, column, value)


def uniform(rows: int, columns: int, share: float, seed: int = 0) -> Sparse:
    """Each element is there with the same probability."""
    source = np.random.default_rng(seed)
    row, column = np.nonzero(source.random((rows, columns)) < share)
    return sparse((rows, columns), row, column, np.ones(len(row)))


def numbered(matrix: Sparse, most: int = 9, seed: int = 0) -> Sparse:
    """The same places with whole numbers from 1 to `most`."""
    values = np.random.default_rng(seed).integers(1, most + 1, matrix.count)
    return Sparse(matrix.shape, matrix.row, matrix.column, values.astype(np.float64))


def _of_pairs(vertices: int, row: Array, column: Array) -> Sparse:
    once = np.unique(row * vertices + column)
    once = once[once // vertices != once % vertices]
    return sparse((vertices, vertices), once // vertices, once % vertices, np.ones(len(once)))
