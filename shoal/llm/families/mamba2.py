"""Mamba-2."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.llm.architecture import Architecture, Layer
from shoal.llm.config import Config
from shoal.llm.families import _common
from shoal.llm.parts import Scan


@dataclass(frozen=True)
class Mamba2:
    """State-space layers alone. [Dao and Gu, "Transformers are SSMs", 2024]"""

    def architecture(self, config: Config) -> Architecture:
        """See `Family`."""
        mixer = Scan(
            heads=config.size("num_heads"),
            head=config.size("head_dim"),
            state=config.size("state_size"),
            groups=config.size("n_groups", 1),
            kernel=config.size("conv_kernel", 4),
            conv_biased=config.get("use_conv_bias", True),
            biased=config.get("use_bias", False),
        )
        return _common.whole(config, [Layer(mixer, None, norms=1)] * config.size("num_hidden_layers"))
