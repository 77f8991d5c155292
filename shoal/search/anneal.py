"""Simulated annealing of anything: a state, a way to a neighbour, and what a state costs.

[Kirkpatrick, Gelatt, Vecchi, "Optimization by simulated annealing", Science 220, 1983]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from shoal.errors import InputError

S = TypeVar("S")

SAMPLED = 0.05  # share of the steps that are spent on finding the first temperature
ACCEPTED = 0.5  # share of steps uphill of middling height that the first temperature takes


@dataclass(frozen=True)
class Cooling:
    """Geometric cooling: the temperature falls by the same factor at each step."""

    steps: int  # states looked at, the first one apart
    first: float | None = (
        None  # temperature, in units of the cost; None: half of the middling steps uphill are taken
    )
    ratio: float = 1e-3  # last temperature over the first

    def __post_init__(self) -> None:
        if self.steps < 0 or not 0 < self.ratio <= 1 or not (self.first is None or self.first > 0):
            needed = "steps ≥ 0, 0 < ratio ≤ 1, first > 0"
            raise InputError("this does not cool", needed=needed, had=repr(self))


@dataclass(frozen=True)
class Annealed(Generic[S]):
    """The end of a run."""

    best: S
    cost: float
    trace: tuple[float, ...]  # cost of the state that was stood at, after each step


def anneal(
    start: S,
    neighbour: Callable[[np.random.Generator, S], S],
    cost: Callable[[S], float],
    cooling: Cooling,
    rng: np.random.Generator,
) -> Annealed[S]:
    """The cheapest state that a walk from `start` came upon; it goes uphill less and less.

    Of two runs with equal generators the answers are equal. `cost` is called `cooling.steps` + 1 times at most.

    Args:
        start: where to begin.
        neighbour: a new state near the given one, which it leaves alone.
        cost: finite; it is minimised.
        cooling: how many steps, and how warm.
        rng: every random choice comes from it.
    """
    here, trace = cost(start), []
    state, best, least = start, start, here
    warmth = _Warmth(cooling)
    for step in range(cooling.steps):
        tried = neighbour(rng, state)
        there = cost(tried)
        if there <= here or rng.random() < warmth.odds(step, there - here):
            state, here = tried, there
        if here < least:
            best, least = state, here
        trace.append(here)
    return Annealed(best, least, tuple(trace))


class _Warmth:
    """The temperature; as long as it is being sought, every step uphill is noted and taken half of the time."""

    def __init__(self, cooling: Cooling) -> None:
        self._cooling, self._first = cooling, cooling.first
        self._sought = 0 if cooling.first else math.ceil(cooling.steps * SAMPLED)
        self._climbs: list[float] = []

    def odds(self, step: int, climb: float) -> float:
        """The chance that a step uphill by `climb` is taken."""
        if step < self._sought:
            self._climbs.append(climb)
            return ACCEPTED
        if self._first is None:
            self._first = float(np.median(self._climbs)) / -math.log(ACCEPTED) if self._climbs else climb
        fallen = (step - self._sought) / max(1, self._cooling.steps - self._sought - 1)
        return math.exp(-climb / (self._first * self._cooling.ratio**fallen))
