"""Choosing the next token among the best candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen; greedy takes the first candidate, which among equals is the lowest token.

    What is drawn from are the candidates that the decoder answers (64 unless it was written otherwise): less likely tokens
    are never drawn.
    """

    temperature: float = 0.0  # 0: greedy
    top_p: float = 1.0  # of what is likeliest, so much probability
    top_k: int = 0  # 0: all candidates
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise InputError("temperature is out of range", needed="0 to 100", had=str(self.temperature))
        if not 0 < self.top_p <= 1:
            raise InputError("top_p is out of range", needed="above 0, at most 1", had=str(self.top_p))
        if self.top_k < 0:
            raise InputError("top_k is out of range", needed="0 for all, or more", had=str(self.top_k))

    def chosen(self, scores: NDArray[np.float32], candidates: NDArray[np.int64], place: int) -> int:
        """The next token.

        Args:
            scores: (best,), falling.
            candidates: (best,), the tokens they are of.
            place: of the token in its text; with the seed it decides what is drawn.
        """
        if self.temperature == 0:
            return int(candidates[0])
        weights = np.exp((scores.astype(np.float64) - float(scores[0])) / self.temperature)
        weights = weights[: self.top_k or None]
        shares = weights / weights.sum()
        kept = int(np.searchsorted(np.cumsum(shares), self.top_p * (1 - 1e-12))) + 1
        shares = shares[:kept] / shares[:kept].sum()
        drawn = np.random.default_rng((self.seed, place)).choice(len(shares), p=shares)
        return int(candidates[drawn])
