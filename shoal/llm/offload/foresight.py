"""Which experts the tokens at work will go to next, told by a predictor that learns as they go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from shoal.store import Guess, Key

if TYPE_CHECKING:
    from torch import Tensor

    from shoal.llm.offload._sites import Site

Ways = list[list[tuple[int, ...]]]  # of each token: its experts of one layer after another


@dataclass(eq=False)
class Foresight:
    """A predictor beside a model that runs.

    Args:
        guess: has learned from other text; sees what tokens do from now on.
        sites: the layers.
        most: experts foreseen for each token.
    """

    guess: Guess
    sites: Sequence[Site]
    most: int
    _ways: Ways = field(default_factory=list, init=False)

    def next(self, place: int, hidden: Tensor, chosen: Tensor) -> list[Key]:
        """What the next layer will need, what most tokens need first. After the last one nothing: the next token is not known.

        Args:
            place: of the layer whose router has just spoken.
            hidden: (tokens, width) what that router was given.
            chosen: (tokens, k) what it said.
        """
        self._saw(place, [tuple(each) for each in chosen.tolist()])
        following, foreseen = place + 1, [()] * len(chosen)
        if following == len(self.sites):
            return []
        if self.guess.asks_router:
            # past the module's hooks: nobody who listens to routers shall hear this
            foreseen = self.sites[following].router.forward(hidden)[2].tolist()
        votes = Counter[int]()
        for way, own in zip(self._ways, foreseen, strict=True):
            votes.update(self._likely(following, way, own))
        return [Key(following, expert) for expert, _ in votes.most_common()]

    def _saw(self, place: int, chosen: list[tuple[int, ...]]) -> None:
        if place == 0:
            self._ways = [[] for _ in chosen]
        for way, own in zip(self._ways, chosen, strict=True):
            self.guess.saw(place, way, own)
            way.append(own)

    def _likely(self, place: int, way: Sequence[Sequence[int]], foreseen: Sequence[int]) -> list[int]:
        """The likeliest for one token; none that the predictor knows nothing of."""
        scores = self.guess.scores(place, way, foreseen)
        return [int(each) for each in np.argsort(-scores, kind="stable")[: self.most] if scores[each] > 0]
