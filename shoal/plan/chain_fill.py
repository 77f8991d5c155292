"""Plans of a chain that fill its units one after another, each up to a period: the least one in a given order of units.

In a given order a period can be kept if units that take as many pieces as the period and their memory allow come to
the end of the chain; halving finds the least such period. [Bokhari, Partitioning problems in parallel, pipelined and
distributed computing, IEEE Trans. Computers 37(1), 1988]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shoal.plan.chain import Groups

_HALVINGS = 40
_LONGER = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, np.inf)  # than the least period: fewer units, less latency


def fillings(run_s: NDArray[np.float64], sequences: Iterable[Sequence[int]]) -> Iterator[Groups]:
    """Plans for each order of units, from the one of the least period to that which fills memories only.

    Args:
        run_s: (units, n + 1, n + 1) seconds of the pieces from the first index up to the second; inf: does not fit.
        sequences: orders of units.
    """
    for sequence in sequences:
        if (whole := _filled(run_s, sequence, np.inf)) is None:
            continue
        least_s = _least(run_s, sequence, max(float(run_s[unit, first, last]) for first, last, unit in whole))
        found = (_filled(run_s, sequence, least_s * longer) for longer in _LONGER)
        yield from dict.fromkeys(groups for groups in found if groups is not None)


def _filled(run_s: NDArray[np.float64], sequence: Sequence[int], period_s: float) -> Groups | None:
    """Each unit takes what it can within the period; None if pieces are left over."""
    begin, pieces, groups = 0, run_s.shape[1] - 1, []
    most_s = min(period_s, np.finfo(np.float64).max)  # inf is no time
    for unit in sequence:
        taken = int(np.searchsorted(run_s[unit, begin, begin + 1 :], most_s, side="right"))
        if taken:
            groups.append((begin, begin + taken, unit))
            begin += taken
        if begin == pieces:
            return tuple(groups)
    return None


def _least(run_s: NDArray[np.float64], sequence: Sequence[int], kept_s: float) -> float:
    """The least period, by halving below one that is known to be kept."""
    low_s = 0.0
    for _ in range(_HALVINGS):
        middle_s = (low_s + kept_s) / 2
        if _filled(run_s, sequence, middle_s) is None:
            low_s = middle_s
        else:
            kept_s = middle_s
    return kept_s
