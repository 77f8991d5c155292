"""Bamba, a hybrid."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.errors import ModelError
from shoal.llm.architecture import Architecture, Layer
from shoal.llm.config import Config
from shoal.llm.families import _common
from shoal.llm.parts import Dense, Scan


@dataclass(frozen=True)
class Bamba:
    """Mamba-2 layers with some of attention among them, a gated product after each. [IBM et al., "Bamba-9B", 2024]"""

    def architecture(self, config: Config) -> Architecture:
        """See `Family`."""
        scan = Scan(
            heads=config.size("mamba_n_heads"),
            head=self._head(config),
            state=config.size("mamba_d_state"),
            groups=config.size("mamba_n_groups", 1),
            kernel=config.size("mamba_d_conv", 4),
            conv_biased=config.get("mamba_conv_bias", True),
            biased=config.get("mamba_proj_bias", False),
        )
        attending: list[int] = config.get("attn_layer_indices", [])
        attention, product = _common.attention(config), Dense(config.size("intermediate_size"))
        layers = [
            Layer(attention if at in attending else scan, product, norms=2)
            for at in range(config.size("num_hidden_layers"))
        ]
        return _common.whole(config, layers)

    def _head(self, config: Config) -> int:
        """Said, or what is left for each head of the widened stream."""
        inner = config.size("mamba_expand", 2) * config.size("hidden_size")
        heads = config.size("mamba_n_heads")
        said = config.entries.get("mamba_d_head", "auto")
        if said != "auto":
            return config.size("mamba_d_head")
        if inner % heads:
            raise ModelError(
                "heads that do not divide the inner width", where=config.source, had=f"{heads} and {inner}"
            )
        return inner // heads
