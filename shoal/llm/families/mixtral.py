"""Mixtral."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.llm.architecture import Architecture, Layer
from shoal.llm.config import Config
from shoal.llm.families import _common
from shoal.llm.parts import Experts


@dataclass(frozen=True)
class Mixtral:
    """Llama with experts in every layer. [Jiang et al., "Mixtral of Experts", 2024]"""

    def architecture(self, config: Config) -> Architecture:
        """See `Family`."""
        experts = Experts(
            count=config.size("num_local_experts"),
            chosen=config.size("num_experts_per_tok"),
            hidden=config.size("intermediate_size"),
        )
        window = config.get("sliding_window", 0)
        layer = Layer(_common.attention(config, window=window), experts, norms=2)
        return _common.whole(config, [layer] * config.size("num_hidden_layers"))
