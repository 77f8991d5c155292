"""A drafter that knows nothing: what the accept rule must bear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.llm.drafting.drafters.contract import Ask
from shoal.llm.drafting.growth import Nodes, drawn, grown
from shoal.llm.drafting.sampling import drawing
from shoal.llm.drafting.tree import F32, Tree


@dataclass(frozen=True)
class Random:
    """Every distribution is made up."""

    vocabulary: int = 256  # tokens
    spread: float = 1.0  # of the logits; 0: all alike

    width = 0

    def begin(self, seed: int) -> Guessing:
        """See `Drafter`."""
        return Guessing(self, seed)


class Guessing:
    """One text's guesses."""

    def __init__(self, made: Random, seed: int) -> None:
        self._made, self._source, self._draw = made, np.random.default_rng(seed), drawing(seed)

    def propose(self, ask: Ask) -> Tree:
        """See `Session`."""
        if ask.temperature:
            return drawn(self._logits(1)[0], self._expand, ask.budget, ask.temperature, self._draw)
        return grown(self._logits(1)[0], self._expand, ask.budget)

    def _expand(self, nodes: Nodes, chosen: list[int]) -> F32:
        return self._logits(len(chosen))

    def _logits(self, rows: int) -> F32:
        found = self._source.standard_normal((rows, self._made.vocabulary)) * self._made.spread
        return found.astype(np.float32)
