"""Binary channels as a spanning tree: each is computed from its parent by the signs in which the two differ.

For rows w of n signs and inputs x of as many, with D the columns in which a row c and its parent p differ,
y_c = y_p + 2·Σ_{k∈D} w_ck·x_k: |D| XNORs instead of n. The tree of least total weight is a minimum spanning tree by
Hamming distance. Source: MST-compression, arXiv 2308.13735.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

Ints = NDArray[np.int32]
Signs = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class ChannelTree:
    """The rows of a binary matrix, each but the root hanging on another."""

    signs: Signs  # (rows, columns), −1 and 1
    parent: Ints  # (rows,); −1 for the root
    level: Ints  # (rows,): steps from the root

    @property
    def rows(self) -> int:
        """Of the matrix."""
        return int(self.signs.shape[0])

    @property
    def columns(self) -> int:
        """Of the matrix."""
        return int(self.signs.shape[1])

    @cached_property
    def root(self) -> int:
        """The row that is computed in full."""
        return int(np.flatnonzero(self.parent < 0)[0])

    @property
    def depth(self) -> int:
        """Steps that follow one another after the root."""
        return int(self.level.max())

    @cached_property
    def order(self) -> Ints:
        """Rows level by level, those of a parent together."""
        return np.lexsort((np.arange(self.rows), self.parent, self.level)).astype(np.int32)

    @cached_property
    def distance(self) -> Ints:
        """(rows,): signs that differ from the parent's; 0 for the root."""
        own = np.where(self.parent < 0, np.arange(self.rows), self.parent)
        return np.asarray((self.signs != self.signs[own]).sum(axis=1), np.int32)

    @property
    def weight(self) -> int:
        """All distances."""
        return int(self.distance.sum())

    @property
    def bit_ops(self) -> int:
        """XNORs of one output place."""
        return self.columns + self.weight

    @property
    def dense_bit_ops(self) -> int:
        """Of the same without the tree."""
        return self.rows * self.columns

    @property
    def ratio(self) -> float:
        """XNORs over those without the tree."""
        return self.bit_ops / self.dense_bit_ops

    def differing(self, row: int) -> NDArray[np.intp]:
        """The columns in which a row differs from its parent; for the root there are none."""
        above = int(self.parent[row])
        return np.flatnonzero(self.signs[row] != self.signs[above if above >= 0 else row])


def channel_tree(signs: NDArray[Any], max_depth: int = 0) -> ChannelTree:
    """The tree of least weight over the rows of a binary matrix, its root in the middle.

    Args:
        signs: (rows, columns), −1 and 1; a kernel of a convolution as (rows, all that each sums over).
        max_depth: no row is to be further from the root; 0: no limit. Keeping it may cost weight.

    Raises:
        InputError: it is no such matrix.
    """
    checked = _checked(signs)
    if max_depth < 0:
        raise InputError("no tree of negative depth", had=str(max_depth))
    above = least_tree(distances(checked), max_depth)
    parent = hung_from(above, centre(above))
    return ChannelTree(checked, parent, levels(parent))


def distances(signs: NDArray[Any]) -> Ints:
    """Hamming distances between all rows, (rows, rows), by one product of whole numbers."""
    checked = _checked(signs)
    wide = checked.astype(np.float32)  # exact: sums are below 2^24
    products = np.rint(wide @ wide.T).astype(np.int32)
    found: Ints = (checked.shape[1] - products) // 2
    return found


def least_tree(distance: Ints, max_depth: int = 0) -> Ints:
    """Parents in a minimum spanning tree grown from row 0 (Prim); of equal edges the one higher up is taken.

    Args:
        distance: (rows, rows), symmetric, at least 0; 0 is an edge like any other.
        max_depth: rows so far from row 0 get no others hung on them; 0: no limit.

    Returns:
        (rows,): −1 for row 0.
    """
    rows = len(distance)
    step = rows + 1  # depth decides between equal distances only
    parent, depth = np.full(rows, -1, np.int32), np.zeros(rows, np.int64)
    far = np.iinfo(np.int64).max
    key, waiting = np.full(rows, far), np.ones(rows, bool)
    newest = 0
    for _ in range(rows - 1):
        waiting[newest] = False
        if not max_depth or depth[newest] < max_depth:
            offered = distance[newest].astype(np.int64) * step + depth[newest]
            better = waiting & (offered < key)
            key[better], parent[better] = offered[better], newest
        newest = int(np.argmin(np.where(waiting, key, far)))
        depth[newest] = depth[parent[newest]] + 1
    return parent


def centre(parent: Ints) -> int:
    """The row from which the furthest one is nearest: the middle of a longest path."""
    around = _neighbours(parent)
    end = _walked(around, 0)[0][-1]
    order, above = _walked(around, end)
    path = [order[-1]]
    while above[path[-1]] >= 0:
        path.append(above[path[-1]])
    return path[len(path) // 2]


def hung_from(parent: Ints, root: int) -> Ints:
    """The same tree with another root."""
    _, above = _walked(_neighbours(parent), root)
    return np.array(above, np.int32)


def levels(parent: Ints) -> Ints:
    """(rows,): steps from the root."""
    found = np.zeros(len(parent), np.int32)
    above = parent.copy()
    while (above >= 0).any():
        found += above >= 0
        above = np.where(above >= 0, parent[above], -1)
    return found


def tree_sums(tree: ChannelTree, inputs: NDArray[Any]) -> Ints:
    """x·Wᵀ of signs by the tree, level by level: (places, rows) from (places, columns).

    The numpy twin of what hardware does; every row is its parent's sum, less and plus the columns that differ.

    Raises:
        InputError: the inputs are no signs, or of other columns.
    """
    x = _checked(inputs)
    if x.shape[1] != tree.columns:
        raise InputError("inputs do not fit the weights", needed=f"(n, {tree.columns})", had=str(inputs.shape))
    sums = np.zeros((tree.rows, len(x)), np.int32)
    turned = np.ascontiguousarray(x.T)
    sums[tree.root] = tree.signs[tree.root].astype(np.int32) @ turned
    for row in tree.order[1:]:
        at = tree.differing(row)
        changes = tree.signs[row, at].astype(np.int32) @ turned[at]
        sums[row] = sums[tree.parent[row]] + 2 * changes
    return np.ascontiguousarray(sums.T)


def greedy_path(distance: Ints) -> int:
    """The weight of a chain from row 0 that always goes on to the nearest row: what a tree is held against."""
    left = np.ones(len(distance), bool)
    at, total = 0, 0
    for _ in range(len(distance) - 1):
        left[at] = False
        following = int(np.argmin(np.where(left, distance[at].astype(np.int64), np.iinfo(np.int64).max)))
        total += int(distance[at, following])
        at = following
    return total


def _checked(signs: NDArray[Any]) -> Signs:
    given = np.asarray(signs)
    if given.ndim != 2 or not given.size:
        raise InputError("no matrix of signs", needed="(rows, columns)", had=str(given.shape))
    if not (np.abs(given) == 1).all():
        raise InputError("not binary", needed="-1 or 1")
    return given.astype(np.int8)


def _neighbours(parent: Ints) -> list[list[int]]:
    around: list[list[int]] = [[] for _ in parent]
    for row, above in enumerate(parent.tolist()):
        if above >= 0:
            around[row].append(above)
            around[above].append(row)
    return around


def _walked(around: list[list[int]], start: int) -> tuple[list[int], list[int]]:
    """Rows in the order of their distance from `start`, and the one before each on the way; −1 at the start."""
    order, above = [start], [-2] * len(around)
    above[start] = -1
    for row in order:
        for other in around[row]:
            if above[other] == -2:
                above[other] = row
                order.append(other)
    return order, above
