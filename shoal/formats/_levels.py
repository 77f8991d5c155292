"""The levels of bit planes, z + Σ s_j · c_j, and which scales fit a group best: nearest levels and least squares in turn.

Parameters stand together: (…, planes + 1), the scales of the planes and then the zero. Source: ELUTQ, arXiv 2510.19482.
Which of the sorted values is nearest to which level are so many borders, and all that least squares needs are sums
between two borders: with running sums a round takes no longer for long groups than for short ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
F64 = NDArray[np.float64]
Places = NDArray[np.intp]
DAMPING = 1e-7  # of the normal equations' trace
SHARES = np.linspace(1, 0.3, 41)[1:]
LARGEST = 65504  # of float16


@dataclass(frozen=True, eq=False)
class Groups:
    """The values of groups, ascending, (groups, n), and running sums from 0, (groups, n + 1)."""

    values: Floats
    counts: F64  # of how much the error of each value counts
    sums: F64  # of that times the value
    squares: F64  # of that times its square, whole: (groups,)

    @classmethod
    def of(cls, values: Floats, weight: Floats) -> Groups:
        """Of values in any order, and how much the error of each counts: both (groups, n)."""
        order = np.argsort(values, axis=1, kind="stable")
        ascending, heavy = (np.take_along_axis(each, order, axis=1) for each in (values, weight))
        return cls(ascending, _running(heavy), _running(heavy * ascending.astype(np.float64)),
                   (heavy * ascending.astype(np.float64) ** 2).sum(axis=1))  # fmt: skip

    def nearest(self, ascending: Floats) -> tuple[F64, F64]:
        """Of the values nearest to each level, (groups, levels): how much they count, and their sum."""
        middles = (ascending[:, 1:] + ascending[:, :-1]) / np.float32(2)
        borders = _at_most(self.values, middles)
        ends = np.pad(borders, ((0, 0), (1, 1)), constant_values=((0, 0), (0, self.values.shape[1])))
        counts, sums = (np.diff(np.take_along_axis(each, ends, axis=1)) for each in (self.counts, self.sums))
        return counts, sums

    def error(self, parameters: Floats) -> F64:
        """The squared error of each group at the nearest levels."""
        ascending, _ = levels(parameters)
        counts, sums = self.nearest(ascending)
        found: F64 = self.squares + (ascending * (ascending * counts - 2 * sums)).sum(axis=1)
        return found


def levels(parameters: Floats) -> tuple[Floats, Places]:
    """The values that there are, ascending, and the code of each: (…, 2 ** planes)."""
    planes = parameters.shape[-1] - 1
    values = (parameters[..., :planes] @ _codes(planes).T + parameters[..., planes:]).astype(np.float32)
    order = np.argsort(values, axis=-1, kind="stable")
    return np.take_along_axis(values, order, axis=-1), order


def even(groups: Groups, planes: int) -> Floats:
    """Even levels over each group's range."""
    least, most = groups.values[:, :1], groups.values[:, -1:]
    return np.concatenate([(most - least) / np.float32(2**planes - 1) * _powers(planes), least], axis=1)


def halving(groups: Groups, planes: int) -> Floats:
    """The mean, and then time and again on which side of it: what is left is halved at zero.

    Source: network sketching, arXiv 1706.02021.
    """
    middle = groups.values.mean(axis=1, keepdims=True)
    left, halves = groups.values - middle, []
    for _ in range(planes):
        halves.append(np.abs(left).mean(axis=1, keepdims=True))
        left = left - np.where(left > 0, halves[-1], -halves[-1])
    scales = np.concatenate(halves[::-1], axis=1)
    return np.concatenate([2 * scales, middle - scales.sum(axis=1, keepdims=True)], axis=1)


def searched(groups: Groups, planes: int) -> Floats:
    """Even levels over the share of each group's range, about its middle, that loses least."""
    whole = even(groups, planes)
    best, least = whole, groups.error(whole)
    for share in SHARES:
        tried = narrowed(whole, float(share))
        error = groups.error(tried)
        best = np.where((error < least)[:, None], tried, best)
        least = np.minimum(error, least)
    return best


def narrowed(parameters: Floats, share: float) -> Floats:
    """The same levels closer to their middle."""
    scales, zeros = parameters[:, :-1], parameters[:, -1:]
    off = np.float32((1 - share) / 2) * scales.sum(axis=1, keepdims=True)
    return np.concatenate([scales * np.float32(share), zeros + off], axis=1)


def whole_numbers(scales: Floats, zeros: Floats, planes: int) -> Floats:
    """The levels s · (q − zero) of whole numbers q, exactly: planes that are set in the zero point count downwards."""
    set_ = (zeros.astype(np.int64)[:, None] >> np.arange(planes)) & 1
    signed = np.where(set_ == 1, -scales[:, None], scales[:, None]) * _powers(planes)
    return np.concatenate([signed, np.zeros_like(scales)[:, None]], axis=1)


def alternated(groups: Groups, start: Floats, rounds: int) -> Floats:
    """Nearest levels, then the best parameters for these codes, so many times; neither makes the error larger."""
    found = start
    for _ in range(rounds):
        found = _solved(groups, found)
    return found


def best_of(groups: Groups, tried: Iterable[Floats]) -> Floats:
    """For each group those with the least squared error, as float16 holds them; of equals the first."""
    every = np.stack([stored(each) for each in tried])
    errors = np.stack([groups.error(each) for each in every])
    found: Floats = np.take_along_axis(every, errors.argmin(axis=0)[None, :, None], axis=0)[0]
    return found


def stored(parameters: Floats) -> Floats:
    """The nearest that float16 holds."""
    return np.clip(parameters, -LARGEST, LARGEST).astype(np.float16).astype(np.float32)


def _solved(groups: Groups, parameters: Floats) -> Floats:
    """Least squares for the nearest levels. A plane that is all alike keeps its scale: a little of the old is added."""
    planes = parameters.shape[1] - 1
    ascending, order = levels(parameters)
    counts, sums = groups.nearest(ascending)
    basis = np.concatenate([_codes(planes), np.ones((2**planes, 1), np.float32)], axis=1).astype(np.float64)[order]
    normal: F64 = np.einsum("gl,gli,glj->gij", counts, basis, basis, optimize=True)
    damp = DAMPING * np.maximum(np.trace(normal, axis1=1, axis2=2), 1e-30)[:, None]
    normal += damp[..., None] * np.eye(planes + 1)
    right = np.einsum("gl,gli->gi", sums, basis) + damp * parameters
    found: Floats = np.linalg.solve(normal, right[..., None])[..., 0].astype(np.float32)
    return found


def _at_most(ascending: Floats, marks: Floats) -> Places:
    """How many of each group's values, (groups, n), are at most each mark, (groups, m): all searched at once."""
    count = ascending.shape[1]
    found = np.zeros(marks.shape, np.intp)
    step = 1 << (count.bit_length() - 1)
    while step:
        further = np.minimum(found + step, count)
        found = np.where(np.take_along_axis(ascending, further - 1, axis=1) <= marks, further, found)
        step >>= 1
    return found


def _codes(planes: int) -> Floats:
    """The bits of each code, (2 ** planes, planes)."""
    return ((np.arange(2**planes)[:, None] >> np.arange(planes)) & 1).astype(np.float32)


def _powers(planes: int) -> Floats:
    return np.exp2(np.arange(planes)).astype(np.float32)


def _running(values: NDArray[np.floating]) -> F64:
    return np.pad(np.cumsum(values, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
