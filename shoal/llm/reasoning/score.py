"""Answers counted: right, unparsable, by vote, and how far a share may be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.llm.reasoning.control import I64

F64 = NDArray[np.float64]
NONE = -1  # an answer that could not be read
Z95 = 1.959964  # standard deviations that hold 95 % of a normal distribution


@dataclass(frozen=True)
class Score:
    """Of so many questions.

    Raises:
        InputError: none were asked, or more are right or unreadable than were asked.
    """

    right: int
    unparsable: int  # counted as wrong
    asked: int

    def __post_init__(self) -> None:
        if self.asked < 1 or min(self.right, self.unparsable) < 0 or self.right + self.unparsable > self.asked:
            raise InputError("answers that do not add up",
                             had=f"{self.right} right and {self.unparsable} unparsable of {self.asked}")  # fmt: skip

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return self.right / self.asked

    @property
    def unparsable_share(self) -> float:
        """The share without an answer that can be read."""
        return self.unparsable / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """Of the accuracy, 95 %."""
        return wilson(self.right, self.asked)

    def tied(self, other: Score) -> bool:
        """Whether the two accuracies cannot be told apart: their intervals overlap."""
        return self.interval[0] <= other.interval[1] and other.interval[0] <= self.interval[1]


def wilson(right: int, asked: int, z: float = Z95) -> tuple[float, float]:
    """The interval of a share. [Wilson, Probable inference, the law of succession, JASA 22, 1927]"""
    share, weight = right / asked, 1 + z * z / asked
    middle = (share + z * z / (2 * asked)) / weight
    half = z / weight * sqrt(share * (1 - share) / asked + z * z / (4 * asked * asked))
    return max(0.0, middle - half), min(1.0, middle + half)


def voted(answers: I64, scores: F64) -> I64:
    """The answer that most samples give; of equally many the one whose samples have the highest mean score.

    Samples without an answer have no vote. [Wang et al., Self-Consistency, 2022]

    Args:
        answers: (n, s) tokens, NONE where there is none.
        scores: (n, s) mean logarithms of probability.

    Returns:
        (n,), NONE where no sample has an answer.
    """
    return np.array([_winner(*each) for each in zip(answers, scores, strict=True)], np.int64)


def _winner(answers: I64, scores: F64) -> int:
    known = np.unique(answers[answers != NONE])
    if not len(known):
        return NONE
    counts = [(int((answers == each).sum()), float(scores[answers == each].mean())) for each in known]
    return int(known[max(range(len(known)), key=counts.__getitem__)])


def scored(answers: I64, wanted: I64) -> Score:
    """Answers (n,) held against the right ones (n,)."""
    return Score(int((answers == wanted).sum()), int((answers == NONE).sum()), len(wanted))
