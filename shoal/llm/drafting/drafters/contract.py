"""What a drafter promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.llm.drafting.tree import I32, Budget, Tree

FAMILY = "llm/drafting/drafters"
F16 = NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Ask:
    """What came since the last time, and what is wanted.

    Args:
        tokens: (n,) that the text is longer by.
        features: (n, width), or none if the drafter reads none: the target's last hidden states, one for each token but
            the newest, at which it has not been yet. So the first time there is one less than tokens.
        budget: of the tree.
        temperature: 0: choose the likeliest; else draw.
    """

    tokens: I32
    features: F16
    budget: Budget
    temperature: float = 0.0


class Session(Protocol):
    """What a drafter remembers of one text."""

    def propose(self, ask: Ask) -> Tree:
        """What may follow; an empty tree if it knows nothing."""


class Drafter(Protocol):
    """A technique of `llm/drafting/drafters`."""

    @property
    def vocabulary(self) -> int:
        """Tokens that it knows; 0: any."""

    @property
    def width(self) -> int:
        """Of the target's features that it reads; 0: none."""

    def begin(self, seed: int) -> Session:
        """Of a new text; what is drawn for it is drawn from this seed."""
