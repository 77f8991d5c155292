"""Decoders without products of activations."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.llm.architecture import Architecture, Layer
from shoal.llm.config import Config
from shoal.llm.families import _common
from shoal.llm.parts import Dense, Recurrence


@dataclass(frozen=True)
class MatmulFree:
    """Four matrices around a gated recurrence, then a gated product. [Zhu et al., arXiv 2406.02528]"""

    def architecture(self, config: Config) -> Architecture:
        """See `Family`."""
        layer = Layer(Recurrence(config.size("hidden_size")), Dense(config.size("intermediate_size")), norms=2)
        return _common.whole(config, [layer] * config.size("num_hidden_layers"), tied=True)
