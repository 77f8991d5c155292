"""The module of DeepSeek-V3 that foresees the second token, of the model's last feature and the next token.

Source: DeepSeek-V3 Technical Report, arXiv 2412.19437, section 2.2.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from shoal.llm.drafting.drafters._blocks import normed
from shoal.llm.drafting.drafters._foresight import Featured, Filed, Foreseeing
from shoal.llm.drafting.tree import F32, I32

NEEDED = {"feature_norm.weight", "token_norm.weight", "join.weight", "norm.weight", "head.weight"}


@dataclass(frozen=True)
class Mtp(Filed):
    """Feature and embedding are normed and joined by one matrix; blocks of its own, the target's embedding and head.

    Of later tokens than the second the feature is what its own blocks gave.
    """

    def needed(self, weights: Collection[str]) -> Collection[str]:
        """See `Filed`."""
        return NEEDED

    def begin(self, seed: int) -> Foreseeing:
        """See `Drafter`."""
        return Foreseeing(_Net(*self._read), seed)


class _Net(Featured):
    def inputs(self, tokens: I32, carried: F32) -> F32:
        feature = self._normed("feature_norm", carried)
        token = self._normed("token_norm", self._weights["embed_tokens.weight"][tokens])
        found: F32 = np.concatenate([feature, token], axis=-1) @ self._weights["join.weight"].T
        return found

    def logits(self, outputs: F32) -> F32:
        found: F32 = self._normed("norm", outputs) @ self._weights["head.weight"].T
        return found

    def _normed(self, name: str, x: F32) -> F32:
        return normed(x, self._weights[f"{name}.weight"], self._shape.epsilon)
