"""Work over tiles: groups in proportion, the longest first, the largest split. Pure functions of what is to be read.

After H2EAL, arXiv 2508.16653: heads that choose pages get groups of tiles in proportion to their work and deal their pages
round; the others are packed, the longest first (Graham, 1969); where that leaves a tile too full, its largest part is split.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

Shares = dict[int, float]  # of one head's work, by tile
FULL = 1.1  # the fullest tile over the mean, above which work is split


def grouped(works: Sequence[float], tiles: int) -> list[int]:
    """How many tiles each work gets, at least one: so that the largest share of a tile is as small as can be.

    The next tile goes to whom a tile is fullest of, which is optimal: a share that is above the optimum is that of a
    work with fewer tiles than the optimum gives it.

    Raises:
        InputError: fewer tiles than works.
    """
    if len(works) > tiles:
        raise InputError("fewer tiles than heads that want a group", needed=str(len(works)), had=str(tiles))
    counts = [1] * len(works)
    queue = [(-work, at) for at, work in enumerate(works)]
    heapify(queue)
    for _ in range(tiles - len(works) if works else 0):
        at = queue[0][1]
        counts[at] += 1
        heapreplace(queue, (-works[at] / counts[at], at))
    return counts


def packed(works: Sequence[float], loads: Sequence[float]) -> list[int]:
    """The tile of each work: the longest first, each onto the tile that has least by then.

    Args:
        works: of what is not divided.
        loads: that the tiles have already.
    """
    queue = [(load, tile) for tile, load in enumerate(loads)]
    heapify(queue)
    found = [0] * len(works)
    for at in sorted(range(len(works)), key=lambda at: -works[at]):
        load, found[at] = queue[0]
        heapreplace(queue, (load + works[at], found[at]))
    return found


def split(works: Sequence[float], shares: Sequence[Shares], tiles: int, full: float = FULL) -> list[Shares]:
    """Shares with which no tile has more than `full` times the mean, by halving the largest part of the fullest tile.

    At most half of a part goes to the emptiest tile, and no more than makes the two alike.
    """
    found = [dict(each) for each in shares]
    for _ in range(8 * tiles):
        loads = loads_of(works, found, tiles)
        fullest, emptiest = int(loads.argmax()), int(loads.argmin())
        if loads[fullest] <= full * loads.mean():
            break
        largest = max(
            (at for at, each in enumerate(found) if fullest in each), key=lambda at: works[at] * found[at][fullest]
        )
        part = found[largest][fullest]
        moved = min(part / 2, (loads[fullest] - loads[emptiest]) / 2 / works[largest])
        found[largest][fullest] = part - moved
        found[largest][emptiest] = found[largest].get(emptiest, 0.0) + moved
    return found


def balanced(
    works: Sequence[float], grouping: Sequence[bool], order: Sequence[int], full: float = FULL
) -> list[Shares]:
    """The share of each tile in each head's work.

    Args:
        works: bytes that each head reads in a step.
        grouping: heads that get a group of tiles, if there are enough for all of them.
        order: all tiles, those beside each other that are to make a group.
        full: see `split`.
    """
    wide = [at for at, wanted in enumerate(grouping) if wanted]
    wide = wide if len(wide) <= len(order) else []
    found: list[Shares] = [{} for _ in works]
    start = 0
    for at, count in zip(wide, grouped([works[at] for at in wide], len(order)), strict=True):
        found[at] = dict.fromkeys(order[start : start + count], 1 / count)
        start += count
    rest = [at for at, shares in enumerate(found) if not shares]
    loads = loads_of(works, found, len(order))
    for at, tile in zip(rest, packed([works[at] for at in rest], loads.tolist()), strict=True):
        found[at] = {tile: 1.0}
    return split(works, found, len(order), full)


def loads_of(works: Sequence[float], shares: Sequence[Shares], tiles: int) -> NDArray[np.float64]:
    """The work of each tile."""
    loads = np.zeros(tiles)
    for work, each in zip(works, shares, strict=True):
        for tile, share in each.items():
            loads[tile] += work * share
    return loads


def dealt(pages: int, shares: Shares) -> NDArray[np.int64]:
    """The tile of each page: dealt round by index, so that pages beside each other lie on different tiles.

    With equal shares tile after tile; else each tile's pages are spread evenly over the indices.
    """
    tiles = np.array(list(shares), np.int64)
    wanted = np.array(list(shares.values())) / sum(shares.values()) * pages
    counts = np.floor(wanted + 1e-9).astype(np.int64)
    counts[np.argsort(counts - wanted, kind="stable")[: pages - counts.sum()]] += 1
    turns = np.concatenate([(np.arange(count) + 0.5) / count for count in counts if count])
    return np.repeat(tiles, counts)[np.argsort(turns, kind="stable")]
