"""Tokens that are dropped on the way through a prefill, the first and the last never.

Source: Agile-Quant, arXiv 2312.05693: outliers sit on few tokens, and many tokens do nothing but attend to the first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kv.scores.contract import F32, Score
from shoal.kv.scores.to_first import ToFirst


def stages(layers: int) -> tuple[int, ...]:
    """The layers at a quarter, a half and three quarters of so many."""
    return tuple(sorted({layers // 4, layers // 2, 3 * layers // 4}))


@dataclass(frozen=True)
class Pruning:
    """After the attention of some layers, the ⌊r·n⌋ tokens of the lowest scores go: for the later layers they are no
    longer there, neither to compute with nor to attend to. The last token stays because it predicts.

    Raises:
        InputError: a share that is not from 0 up to 1.
    """

    ratio: float = 0.1  # r, of the tokens that are left, each time
    layers: Collection[int] = (1, 2, 3)  # see `stages`
    score: Score = field(default_factory=ToFirst)

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            raise InputError("no share of the tokens to drop", where="pruning", needed="from 0, below 1",
                             had=f"{self.ratio:g}")  # fmt: skip

    def kept(self, layer: int, attention: F32) -> NDArray[np.intp] | None:
        """The tokens that stay, ascending.

        Args:
            layer: whose attention it is.
            attention: (…, heads, n, n).

        Returns:
            (…, fewer), or None if all do.
        """
        tokens = attention.shape[-1]
        dropped = min(int(self.ratio * tokens), tokens - 2) if layer in self.layers else 0
        if dropped <= 0:
            return None
        scores = np.array(self.score.of(attention), np.float32)
        scores[..., [0, -1]] = np.inf
        return np.sort(np.argsort(-scores, axis=-1, kind="stable")[..., : tokens - dropped], axis=-1)
