"""DeepSeek V3."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.llm.architecture import Architecture, Layer
from shoal.llm.config import Config
from shoal.llm.families import _common
from shoal.llm.parts import Dense, Experts, Latent


@dataclass(frozen=True)
class DeepseekV3:
    """Latent attention, and after the first layers many small experts. [DeepSeek-AI, "DeepSeek-V3", 2024]"""

    def architecture(self, config: Config) -> Architecture:
        """See `Family`. The module that foresees a second token is no part of it."""
        mixer = Latent(
            heads=config.size("num_attention_heads"),
            query_rank=config.get("q_lora_rank", 0),
            rank=config.size("kv_lora_rank"),
            plain=config.size("qk_nope_head_dim"),
            rotary=config.size("qk_rope_head_dim"),
            value=config.size("v_head_dim"),
        )
        hidden = config.size("moe_intermediate_size")
        experts = Experts(
            count=config.size("n_routed_experts"),
            chosen=config.size("num_experts_per_tok"),
            hidden=hidden,
            shared=hidden * config.get("n_shared_experts", 0),
            corrected=True,
        )
        dense = Dense(config.size("intermediate_size"))
        first = config.get("first_k_dense_replace", 0)
        layers = [
            Layer(mixer, dense if at < first else experts, norms=2)
            for at in range(config.size("num_hidden_layers"))
        ]
        return _common.whole(config, layers)
