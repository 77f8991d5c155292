"""What training a language model takes, from its configuration."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from shoal.llm.architecture import Architecture

PASSES = 3  # one forward; backward, for inputs and for weights, takes twice as much


@dataclass(frozen=True)
class TrainingCost:
    """Floating-point operations of one token, forward and backward; a multiply-accumulate is two."""

    weights_flops: float  # of all products with weights that it meets, the answer's included
    attention_flops: float  # of what it does with the tokens that it sees

    @property
    def flops(self) -> float:
        """Both."""
        return self.weights_flops + self.attention_flops


def training_cost(model: Architecture, tokens: int = 4096) -> TrainingCost:
    """The mean over the places of a sequence of so many tokens, each of which sees itself and those before it.

    Of experts those chosen count. Embeddings are looked up, which is no operation. Source of the reckoning: Zhao et al.,
    "Insights into DeepSeek-V3", 2025, table 2, where attention is causal.
    """
    weights = model.macs(0)
    mixers = Counter(layer.mixer for layer in model.layers if layer.mixer is not None)
    seeing = sum(
        count * (mixer.macs(model.width, seen) - mixer.macs(model.width, 0))
        for mixer, count in mixers.items()
        for seen in range(1, tokens + 1)
    )
    return TrainingCost(2.0 * PASSES * weights, 2.0 * PASSES * seeing / tokens)
