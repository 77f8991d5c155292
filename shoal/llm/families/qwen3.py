"""Qwen 3."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.llm.architecture import Architecture, Layer
from shoal.llm.config import Config
from shoal.llm.decoder.values import Decoder
from shoal.llm.families import _common
from shoal.llm.parts import Dense


@dataclass(frozen=True)
class Qwen3:
    """Like Llama, but every query and key is normed. [Yang et al., "Qwen3 Technical Report", 2025]"""

    def architecture(self, config: Config) -> Architecture:
        """See `Family`."""
        layer = Layer(_common.attention(config, normed=True), Dense(config.size("intermediate_size")), norms=2)
        return _common.whole(config, [layer] * config.size("num_hidden_layers"))

    def decoder(self, config: Config) -> Decoder:
        """See `Written`."""
        return _common.decoder(config, self.architecture(config))
