"""Qwen 2 and 2.5."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.llm.architecture import Architecture, Layer
from shoal.llm.config import Config
from shoal.llm.decoder.values import Decoder
from shoal.llm.families import _common
from shoal.llm.parts import Dense


@dataclass(frozen=True)
class Qwen2:
    """Like Llama, but queries, keys and values have biases. [Yang et al., "Qwen2.5 Technical Report", 2024]"""

    def architecture(self, config: Config) -> Architecture:
        """See `Family`."""
        layer = Layer(_common.attention(config, biased=True), Dense(config.size("intermediate_size")), norms=2)
        return _common.whole(config, [layer] * config.size("num_hidden_layers"))

    def decoder(self, config: Config) -> Decoder:
        """See `Written`."""
        return _common.decoder(config, self.architecture(config))
