"""A small language model of the same vocabulary, as in classic speculative decoding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shoal.llm.drafting.drafters._blocks import Blocks, normed
from shoal.llm.drafting.drafters._foresight import Foreseeing, read
from shoal.llm.drafting.drafters.contract import Ask
from shoal.llm.drafting.tree import F32, I32
from shoal.train.language import Decoder


@dataclass(frozen=True)
class Small:
    """It sees tokens alone. [Leviathan et al., arXiv 2211.17192]"""

    file: str = ""  # its weights, as `shoal.llm.drafting.training` writes them

    width = 0

    @property
    def vocabulary(self) -> int:
        """See `Drafter`."""
        return self._read[0].vocabulary

    def begin(self, seed: int) -> Foreseeing:
        """See `Drafter`."""
        return Foreseeing(_Net(*self._read), seed)

    @cached_property
    def _read(self) -> tuple[Decoder, dict[str, F32]]:
        return read(self.file)


class _Net:
    def __init__(self, shape: Decoder, weights: dict[str, F32]) -> None:
        self._shape, self._weights = shape, weights
        self._embedding = weights["embed_tokens.weight"]

    @property
    def blocks(self) -> Blocks:
        return Blocks(self._weights, self._shape)

    def rows(self, ask: Ask) -> tuple[I32, F32]:
        return ask.tokens, np.zeros((len(ask.tokens), 0), np.float32)

    def inputs(self, tokens: I32, carried: F32) -> F32:
        return self._embedding[tokens]

    def logits(self, outputs: F32) -> F32:
        found: F32 = normed(outputs, self._weights["norm.weight"], self._shape.epsilon) @ self._embedding.T
        return found
