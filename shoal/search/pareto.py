"""Non-dominated points, their knee, the volume they cover, and a readable few. All goals are minimised.

A point dominates another when it is at most as large in every goal and smaller in one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.errors import InputError

Points = NDArray[np.float64]
Indices = NDArray[np.intp]

_LEAF = 1 << 15  # pairs compared at once: below it, splitting costs more than it saves
_SCOUTS = 24  # points with small sums that are tried on all others first


def front(points: ArrayLike) -> Indices:
    """Indices, ascending, of the points that no other point dominates; of equal points the first.

    Divide and conquer on sorted points (Kung, Luccio, Preparata 1975), about n·log(n)^(k-2).

    Args:
        points: shape (n goals, k), may hold inf.

    Raises:
        InputError: not a table, or a value that is not a number.
    """
    table = _checked(points)
    if len(table) <= 1 or table.shape[1] == 0:
        return np.arange(min(len(table), 1))
    order = np.lexsort(table.T[::-1])
    rows = table[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = np.any(rows[1:] != rows[:-1], axis=1)  # lexsort is stable: the first of equals leads
    order, rows = order[new], np.ascontiguousarray(rows[new].T)
    alive = _scouted(rows)
    kept: Indices = alive[_sorted_front(rows[:, alive])]
    found: Indices = np.sort(order[kept])
    return found


def knee(points: ArrayLike) -> int:
    """Index of the point that lies farthest towards the origin from the plane through the extremes.

    Goals are scaled to 0..1 over the points; the plane passes through each goal's best point
    (Das 1999, "On characterizing the knee of the Pareto curve"). Where the extremes span no plane, the
    plane on which the scaled goals sum to one stands in. Ties go to the first.

    Args:
        points: shape (n ≥ 1, k), finite.
    """
    scaled = _scaled(_finite(points, least=1))
    normal = _plane(scaled[np.argmin(scaled, axis=0)])
    return int(np.argmin(np.round(scaled @ normal, 12)))


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Exact volume between the points and `reference`, in the product of the goals' units.

    Slices along the last goal, recursively (HSO: While, Hingston, Barone, Huband 2006). Meant for k ≤ 4 and a
    few hundred points. Points that are not below the reference in every goal add nothing.

    Args:
        points: shape (n, k).
        reference: shape (k,), finite.
    """
    table, corner = _checked(points), np.asarray(reference, dtype=np.float64)
    if corner.shape != table.shape[1:] or not np.isfinite(corner).all():
        raise InputError(
            "the reference is not one finite figure a goal",
            needed=f"shape ({table.shape[1]},)",
            had=f"{corner.shape}",
        )
    inside = table[np.all(table < corner, axis=1)]
    return _volume(inside[front(inside)], corner)


def representatives(points: ArrayLike, count: int = 15) -> Indices:
    """Indices, ascending, of at most `count` points that show the whole: bests, knee, then the most spread.

    Every goal's best comes first (ties: the smaller scaled sum), then the knee, then repeatedly the point
    farthest from all chosen ones in goals scaled to 0..1 (Gonzalez 1985). Deterministic; equal points once.

    Args:
        points: shape (n, k), finite.
        count: how many at most; bests and knee beyond it are left out.
    """
    table = _finite(points)
    if len(table) == 0 or count <= 0:
        return np.empty(0, dtype=np.intp)
    scaled = _scaled(table)
    sums = scaled.sum(axis=1)
    first = [int(np.lexsort((sums, scaled[:, goal]))[0]) for goal in range(table.shape[1])]
    chosen = list(dict.fromkeys([*first, knee(table)]))[:count]
    gaps = np.min([_gap(scaled, scaled[i]) for i in chosen], axis=0)
    while len(chosen) < count and gaps.max() > 0:
        chosen.append(int(np.argmax(gaps)))
        gaps = np.minimum(gaps, _gap(scaled, scaled[chosen[-1]]))
    return np.array(sorted(chosen), dtype=np.intp)


def _checked(points: ArrayLike, least: int = 0) -> Points:
    table = np.asarray(points, dtype=np.float64)
    if table.ndim != 2 or len(table) < least:
        raise InputError("points are not a table", needed=f"(n ≥ {least}, goals)", had=f"shape {table.shape}")
    if np.isnan(table).any():
        raise InputError("a point holds a value that is not a number")
    return table


def _finite(points: ArrayLike, least: int = 0) -> Points:
    table = _checked(points, least)
    if not np.isfinite(table).all():
        raise InputError("points to choose from must be finite")
    return table


def _scaled(table: Points) -> Points:
    """Each goal's range as 0..1; a goal without range is 0."""
    low, span = table.min(axis=0), np.ptp(table, axis=0)
    scaled: Points = (table - low) / np.where(span > 0, span, 1.0)
    return scaled


def _gap(scaled: Points, point: Points) -> Points:
    gap: Points = np.linalg.norm(scaled - point, axis=1)
    return gap


def _plane(extremes: Points) -> Points:
    """Normal (≥ 0, length 1) of the plane through k points (k, k), or of the plane 'sum is one'."""
    goals = len(extremes)
    flat = np.full(goals, goals**-0.5)
    if np.linalg.matrix_rank(extremes[1:] - extremes[0]) < goals - 1:
        return flat
    normal = np.linalg.svd(extremes[1:] - extremes[0])[2][-1] if goals > 1 else flat
    normal = normal if normal.sum() >= 0 else -normal
    return normal if (normal >= -1e-12).all() else flat


def _volume(rows: Points, corner: Points) -> float:
    if len(rows) == 0:
        return 0.0
    if len(corner) == 1:
        return float(corner[0] - rows.min())
    rows = rows[np.argsort(rows[:, -1], kind="stable")]
    if len(corner) == 2:
        lowest = np.minimum.accumulate(rows[:, 0])
        return float(np.sum((corner[0] - lowest) * np.diff(rows[:, -1], append=corner[-1])))
    total, slab = 0.0, rows[:0, :-1]
    for row, depth in zip(rows, np.diff(rows[:, -1], append=corner[-1]), strict=True):
        slab = np.vstack([slab, row[None, :-1]])
        slab = slab[front(slab)]
        if depth > 0:
            total += depth * _volume(slab, corner[:-1])
    return total


# Below, `rows` is goal by point, (k, n): one goal's values lie together, so comparisons run at full speed.


def _scouted(rows: Points) -> Indices:
    """Indices left when the points with the smallest sums have been tried on all others."""
    alive = np.arange(rows.shape[1])
    if rows.shape[1] <= 4 * _SCOUTS:
        return alive
    low = rows.min(axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        ratio = np.nan_to_num((rows - low[:, None]).T / np.maximum(rows.mean(axis=1) - low, 1e-300), nan=1.0)
    scouts = np.sort(np.argpartition(ratio.sum(axis=1), _SCOUTS)[:_SCOUTS])
    for scout in scouts:
        beaten = np.all(rows[:, alive] >= rows[:, scout, None], axis=0)
        alive = alive[~beaten | (alive == scout)]
    return alive


def _sorted_front(rows: Points) -> Indices:
    """Positions of non-dominated points among distinct points in lexicographic order."""
    size = rows.shape[1]
    if size * size <= 2 * _LEAF:
        below = np.tri(size, k=-1, dtype=bool).T  # only an earlier point can dominate a later one
        for goal in rows[1:]:
            below &= goal[:, None] <= goal[None, :]
        return np.flatnonzero(~below.any(axis=0))
    half = size // 2
    first, second = _sorted_front(rows[:, :half]), half + _sorted_front(rows[:, half:])
    return np.concatenate([first, second[~_covered(rows[1:, second], rows[1:, first])]])


def _covered(rows: Points, by: Points) -> NDArray[np.bool_]:
    """For each of `rows` (k, n) whether some point of `by` (k, m) is at most as large in every goal."""
    size, others = rows.shape[1], by.shape[1]
    covered = np.zeros(size, dtype=bool)
    if size == 0 or others == 0:
        return covered
    if len(rows) <= 2:
        return _covered_plane(rows, by)
    if size * others <= _LEAF:
        below = by[0][:, None] <= rows[0][None, :]
        for mine, theirs in zip(rows[1:], by[1:], strict=True):
            below &= theirs[:, None] <= mine[None, :]
        found: NDArray[np.bool_] = below.any(axis=0)
        return found
    return _covered_split(rows, by, covered)


def _covered_split(rows: Points, by: Points, covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Split both at the median of the first goal: across it, that goal needs no more comparing."""
    both = np.concatenate([rows[0], by[0]])
    pivot = np.partition(both, (len(both) - 1) // 2)[(len(both) - 1) // 2]
    if pivot == both.max():
        smaller = both[both < pivot]
        if len(smaller) == 0:  # all equal
            return _covered(rows[1:], by[1:])
        pivot = smaller.max()
    low, high = np.flatnonzero(rows[0] <= pivot), np.flatnonzero(rows[0] > pivot)
    near = by[0] <= pivot
    covered[low] = _covered(rows[:, low], by[:, near])
    covered[high] = _covered(rows[1:, high], by[1:, near])
    left = high[~covered[high]]
    covered[left] = _covered(rows[:, left], by[:, ~near])
    return covered


def _covered_plane(rows: Points, by: Points) -> NDArray[np.bool_]:
    """`_covered` for one or two goals by a sweep."""
    if len(rows) == 0:
        return np.ones(rows.shape[1], dtype=bool)
    order = np.argsort(by[0], kind="stable")
    place = np.searchsorted(by[0][order], rows[0], side="right")
    if len(rows) == 1:
        found: NDArray[np.bool_] = place > 0
        return found
    lowest = np.concatenate([[np.inf], np.minimum.accumulate(by[1][order])])
    found = (place > 0) & (lowest[place] <= rows[1])
    return found
