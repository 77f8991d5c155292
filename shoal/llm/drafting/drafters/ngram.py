"""Prompt lookup: what followed the last tokens when they stood in the text before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shoal.llm.drafting.drafters.contract import Ask
from shoal.llm.drafting.tree import ROOT, Budget, Tree

Ending = tuple[int, ...]


@dataclass(frozen=True)
class Ngram:
    """The longest ending that stood in the text before counts. It takes no network, and no time to speak of."""

    longest: int = 8  # tokens of an ending
    shortest: int = 2  # below this nothing is proposed

    vocabulary = 0
    width = 0

    def begin(self, seed: int) -> Lookup:
        """See `Drafter`; nothing is drawn."""
        return Lookup(self.longest, self.shortest)


class Lookup:
    """A text, and where each of its endings stood."""

    def __init__(self, longest: int, shortest: int) -> None:
        self._lengths = range(longest, shortest - 1, -1)
        self._text: list[int] = []
        self._after: dict[Ending, list[int]] = {}  # where what followed begins, the newest last

    def propose(self, ask: Ask) -> Tree:
        """See `Session`: the newest `top_k` continuations, as one tree of at most so many tokens."""
        for token in ask.tokens.tolist():
            self._note()
            self._text.append(token)
        tokens: list[int] = []
        parents: list[int] = []
        places: dict[tuple[int, int], int] = {}
        for way in self._ways(ask.budget):
            at = ROOT
            for token in way:
                if (at, token) not in places:
                    if len(tokens) >= ask.budget.tokens:
                        break
                    places[at, token] = len(tokens)
                    tokens.append(token)
                    parents.append(at)
                at = places[at, token]
        return Tree.of(tokens, parents)

    def _note(self) -> None:
        """What comes next follows the endings of the text so far."""
        for length in self._lengths:
            if 0 < length <= len(self._text):
                self._after.setdefault(tuple(self._text[-length:]), []).append(len(self._text))

    def _ways(self, budget: Budget) -> Iterator[list[int]]:
        for length in self._lengths:
            found = self._after.get(tuple(self._text[-length:]), []) if length <= len(self._text) else []
            if found:
                yield from (self._text[at : at + budget.depth] for at in found[: -budget.top_k - 1 : -1])
                return
