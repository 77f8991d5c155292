"""Placements as rows of unit indices, one for each block, and the steps from one to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Genes = NDArray[np.int64]  # block → index of its unit


def consecutive(rng: np.random.Generator, blocks: int, units: int) -> Genes:
    """A random division into consecutive groups on some of the units."""
    order = rng.permutation(units)[: int(rng.integers(1, units + 1))]
    bounds = np.sort(rng.integers(0, blocks + 1, len(order) - 1))
    return order[np.searchsorted(bounds, np.arange(blocks), side="right")].astype(np.int64)


def crossed(rng: np.random.Generator, one: Genes, other: Genes) -> tuple[Genes, Genes]:
    """Both, with a stretch of blocks exchanged."""
    first, last = np.sort(rng.integers(0, len(one) + 1, 2))
    left, right = one.copy(), other.copy()
    left[first:last], right[first:last] = other[first:last], one[first:last]
    return left, right


def mutated(rng: np.random.Generator, genes: Genes, units: int) -> Genes:
    """`genes` after one small step: a border moved, a stretch or one block moved, or two units exchanged."""
    made = genes.copy()
    step = rng.random()
    borders = np.flatnonzero(np.diff(genes)) + 1
    if step < 0.5 and len(borders):  # a cut goes some blocks earlier or later
        border = int(rng.choice(borders))
        reach = int(rng.integers(1, max(2, len(genes) // 8)))
        if rng.random() < 0.5:
            made[max(0, border - reach) : border] = genes[border]
        else:
            made[border : border + reach] = genes[border - 1]
    elif step < 0.7:  # a stretch goes to one unit
        first = int(rng.integers(len(genes)))
        made[first : first + int(rng.integers(1, max(2, len(genes) // 4)))] = rng.integers(units)
    elif step < 0.9 or units == 1:  # one block goes to one unit
        made[rng.integers(len(genes))] = rng.integers(units)
    else:  # two units change places
        a, b = rng.choice(units, 2, replace=False)
        made[genes == a], made[genes == b] = b, a
    return made


def climbed(
    start: Genes, neighbours: Sequence[Sequence[int]], better: Callable[[Genes, Genes], bool], tries: int
) -> Genes:
    """Move single blocks to the unit of a block they exchange tensors with, as long as that is `better`.

    Args:
        start: where to begin.
        neighbours: blocks that each block exchanges tensors with.
        better: whether the first is better than the second.
        tries: most placements to look at.
    """
    best, moved = start, True
    while moved and tries > 0:
        moved = False
        for block, around in enumerate(neighbours):
            for unit in sorted({int(best[other]) for other in around} - {int(best[block])}):
                if tries <= 0:
                    return best
                tries -= 1
                tried = best.copy()
                tried[block] = unit
                if better(tried, best):
                    best, moved = tried, True
    return best
