"""How much to draft, by what was accepted lately; nothing where that is fastest."""

from __future__ import annotations

from itertools import cycle

from shoal.llm.drafting.loop import Round
from shoal.llm.drafting.speed import Speed
from shoal.llm.drafting.tree import Budget


class Tuner:
    """Chains for one target and drafter, from round to round and from text to text."""

    def __init__(
        self, speed: Speed, *, alpha: float = 0.7, most: int = 16, weight: float = 0.05, retry: int = 32
    ) -> None:
        """At first `alpha` is believed.

        Args:
            speed: of the two devices.
            alpha: the share of tokens that is accepted.
            most: tokens of a chain.
            weight: of each token that was tried, in the moving average of the share.
            retry: where drafting does not pay, one token is tried again after so many rounds.
        """
        self.speed, self.alpha = speed, alpha
        self._most, self._weight, self._retry = most, weight, retry
        self._waited = 0

    @property
    def tokens(self) -> int:
        """Of the chain that is fastest now; 0: do not draft."""
        return self.speed.best_chain(self.alpha, self._most)

    def budget(self) -> Budget | None:
        """See `loop.Pilot`."""
        tokens = self.tokens
        if tokens:
            self._waited = 0
            return Budget.chain(tokens)
        self._waited += 1
        return Budget.chain(1) if self._waited % self._retry == 0 else None

    def saw(self, found: Round) -> None:
        """Tokens after the first refused one were not tried."""
        for taken in [True] * found.accepted + [False] * (found.accepted < found.offered):
            self.alpha += self._weight * (taken - self.alpha)


class Trying:
    """Chains of every length in turn, none among them: to learn what each takes, by `Speed.of`."""

    def __init__(self, most: int) -> None:
        """Up to so many tokens."""
        self._lengths = cycle(range(most + 1))

    def budget(self) -> Budget | None:
        """See `loop.Pilot`."""
        return Budget.chain(next(self._lengths))

    def saw(self, found: Round) -> None:
        """The text's log has it."""
