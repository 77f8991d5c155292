"""A head that foresees the target's next feature, of its last one and the next token."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from shoal.llm.drafting.drafters._blocks import normed, sigmoid
from shoal.llm.drafting.drafters._foresight import Featured, Filed, Foreseeing
from shoal.llm.drafting.tree import F32, I32


@dataclass(frozen=True)
class Fused(Filed):
    """With the target's embedding and head, and blocks of its own.

    Feature f and embedding e are fused by a gate, z = σ(W_z [W₁f; SiLU(W₂e)]), x = z W₁f + (1 − z) SiLU(W₂e) (DGF of
    Dovetail, arXiv 2412.18934), or by one matrix on both (EAGLE, arXiv 2401.15077); the file decides.
    """

    def needed(self, weights: Collection[str]) -> Collection[str]:
        """See `Filed`."""
        fusion = {"fuse.weight"} if "fuse.weight" in weights else {"feature.weight", "token.weight", "gate.weight"}
        return {"head.weight"} | fusion

    def begin(self, seed: int) -> Foreseeing:
        """See `Drafter`."""
        return Foreseeing(_Net(*self._read), seed)


class _Net(Featured):
    def inputs(self, tokens: I32, carried: F32) -> F32:
        weights, embedded = self._weights, self._weights["embed_tokens.weight"][tokens]
        ones = np.ones(self._shape.width, np.float32)
        embedded = normed(embedded, ones, self._shape.epsilon)
        if "fuse.weight" in weights:
            return np.asarray(np.concatenate([carried, embedded], axis=-1) @ weights["fuse.weight"].T, np.float32)
        feature = carried @ weights["feature.weight"].T
        token = embedded @ weights["token.weight"].T
        token = token * sigmoid(token)
        gate = sigmoid(np.concatenate([feature, token], axis=-1) @ weights["gate.weight"].T)
        found: F32 = gate * feature + (1 - gate) * token
        return found

    def logits(self, outputs: F32) -> F32:
        found: F32 = outputs @ self._weights["head.weight"].T
        return found
