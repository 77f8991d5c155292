"""What a score is: the attention of a layer → how much each token is worth keeping."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


class Score(Protocol):
    """A technique of `kv/scores`."""

    def of(self, attention: F32) -> F32:
        """The score of each token; what has the lowest goes first.

        Args:
            attention: (…, heads, n, n): causal softmax shares, not rounded; row i holds what token i pays to others.

        Returns:
            (…, n).
        """
