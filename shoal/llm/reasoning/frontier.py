"""Which model, which budget, how many samples: the configurations worth having, and questions to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from shoal.errors import InputError, LimitError
from shoal.llm.reasoning.control import Control
from shoal.llm.reasoning.score import Score
from shoal.search import front


@dataclass(frozen=True)
class Option:
    """One configuration with what is known of it."""

    model: str
    control: Control
    samples: int
    score: Score  # measured
    latency_s: float
    energy_j: float = 0.0

    @property
    def name(self) -> str:
        """Short, for tables."""
        return f"{self.model}, {self.control.name}" + (f", vote of {self.samples}" if self.samples > 1 else "")


@dataclass(frozen=True)
class Choice:
    """The answer to a question."""

    best: Option
    tied: tuple[Option, ...]  # within the limits too, and not to be told from the best by accuracy


@dataclass(frozen=True)
class Frontier:
    """All configurations.

    Raises:
        InputError: there are none.
    """

    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise InputError("no configurations to choose from")

    def worth_having(self) -> tuple[Option, ...]:
        """Those that no other beats in latency, energy and accuracy at once; by latency."""
        table = [(each.latency_s, each.energy_j, -each.score.accuracy) for each in self.options]
        found = (self.options[at] for at in front(table))
        return tuple(sorted(found, key=lambda each: each.latency_s))

    def best(self, latency_s: float = inf, energy_j: float = inf) -> Choice:
        """The most accurate within limits; of equally accurate ones the quickest.

        Raises:
            LimitError: none is; the least that can be had is told.
        """
        within = [each for each in self.options if each.latency_s <= latency_s and each.energy_j <= energy_j]
        if not within:
            raise self._infeasible(latency_s, energy_j)
        best = max(within, key=lambda each: (each.score.accuracy, -each.latency_s))
        tied = (each for each in within if each is not best and each.score.tied(best.score))
        return Choice(best, tuple(sorted(tied, key=lambda each: each.latency_s)))

    def _infeasible(self, latency_s: float, energy_j: float) -> LimitError:
        affordable = [each for each in self.options if each.energy_j <= energy_j]
        if not affordable:
            least = min(self.options, key=lambda each: each.energy_j)
            return LimitError(f"infeasible, minimum is {least.energy_j:.4g} J", where=least.name,
                              had=f"{energy_j:.4g} J")  # fmt: skip
        least = min(affordable, key=lambda each: each.latency_s)
        return LimitError(f"infeasible, minimum is {1e3 * least.latency_s:.4g} ms", where=least.name,
                          had=f"{1e3 * latency_s:.4g} ms")  # fmt: skip


def separable(options: Sequence[Option]) -> bool:
    """Whether no two of them are tied."""
    return not any(a.score.tied(b.score) for at, a in enumerate(options) for b in options[at + 1 :])
