"""A layer's experts through two queues, one that reads and one that multiplies: how long, and how much longer than at best.

Which expert is read next and which of those that are complete is multiplied next is free, so the layer is a flow shop of
two machines: Johnson's order has the shortest span. [Johnson, "Optimal two- and three-stage production schedules", 1954]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from shoal.errors import InputError

MOST = 7  # experts whose orders are all tried


@dataclass(frozen=True)
class Job:
    """One expert."""

    tokens: int
    read_bytes: int  # of planes that are not here
    read_s: float
    compute_s: float


def span_s(jobs: Sequence[Job]) -> float:
    """From the first read to the last product; both queues in this order."""
    read_s = done_s = 0.0
    for each in jobs:
        read_s += each.read_s
        done_s = max(done_s, read_s) + each.compute_s
    return done_s


def bubble_s(jobs: Sequence[Job]) -> float:
    """How long nothing is multiplied although tokens wait."""
    return span_s(jobs) - sum(each.compute_s for each in jobs)


def hottest(jobs: Sequence[Job]) -> list[Job]:
    """What is complete first, then what most tokens wait for."""
    return sorted(jobs, key=lambda each: (each.read_bytes > 0, -each.tokens))


def per_byte(jobs: Sequence[Job]) -> list[Job]:
    """What most tokens wait for, for each byte to be read."""
    return sorted(
        jobs, key=lambda each: (-each.tokens / each.read_bytes if each.read_bytes else float("-inf"), -each.tokens)
    )


def johnson(jobs: Sequence[Job]) -> list[Job]:
    """The shortest span there is.

    What is read quicker than multiplied goes first, the quickest read first; then the others, the longest product first.
    """
    short = sorted((each for each in jobs if each.read_s < each.compute_s), key=lambda each: each.read_s)
    return short + sorted(
        (each for each in jobs if each.read_s >= each.compute_s), key=lambda each: -each.compute_s
    )


def least_s(jobs: Sequence[Job]) -> float:
    """The shortest span of all orders, each of them tried.

    Raises:
        InputError: there are too many.
    """
    if len(jobs) > MOST:
        raise InputError("too many orders to try", needed=f"{MOST} experts at most", had=str(len(jobs)))
    return min(map(span_s, permutations(jobs)))
