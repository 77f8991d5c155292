"""The hybrid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from shoal.llm.tiny._kept import BYTES, SLOW, Kept


@dataclass(frozen=True)
class Bamba(Kept):
    """Six layers of Bamba's kind, 128 wide: states in four, attention in the third and the last."""

    config = BYTES | {
        "model_type": "bamba", "hidden_size": 128, "num_hidden_layers": 6, "attn_layer_indices": [2, 5],
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 192, "mamba_n_heads": 4,
        "mamba_d_head": 64, "mamba_d_state": 32, "mamba_n_groups": 1, "mamba_expand": 2, "mamba_d_conv": 4,
        "mamba_chunk_size": 32, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "initializer_range": 0.06, "tie_word_embeddings": True,
    }  # fmt: skip
    recipe = replace(SLOW, steps=900)
    sha256: ClassVar[str] = "6b70f360801229081d5a223078d949dfc5bbd683e82b04c144872c2be70be843"
