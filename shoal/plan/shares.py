"""Shares of the work: checked at the door, and rounded to whole rows and channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shoal.errors import PlanError
from shoal.plan.problem import Problem


def users_of(problem: Problem, shares: Sequence[float]) -> list[tuple[str, float]]:
    """The units that have a share of the work, with it, in the order of the problem's units.

    Raises:
        PlanError: not one share for each unit, a negative one, or nothing but zeros.
    """
    if len(shares) != len(problem.units) or min(shares) < 0 or not 0 < sum(shares) < math.inf:
        raise PlanError(
            "shares must be one figure of at least zero for each unit and not all zero",
            needed=f"{len(problem.units)}: {', '.join(problem.units)}",
            had=", ".join(f"{share:g}" for share in shares),
        )
    return [(unit, share) for unit, share in zip(problem.units, shares, strict=True) if share > 0]


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """`total` things by `shares`: floors first, the rest by largest remainder (the first of equal ones)."""
    exact = [total * share / math.fsum(shares) for share in shares]
    counts = [math.floor(figure + 1e-9) for figure in exact]
    by_remainder = sorted(range(len(shares)), key=lambda index: (counts[index] - exact[index], index))
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts


def bounds_of(total: int, shares: Sequence[float], grain: int = 1) -> list[int]:
    """Where each share begins, and the end, at multiples of `grain`; a share too small for one gets nothing."""
    counts = apportion(total // grain, shares)
    bounds = [0]
    for count in counts:
        bounds.append(bounds[-1] + count * grain)
    return [*bounds[:-1], total]
