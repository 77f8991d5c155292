"""The one with experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from shoal.llm.tiny._kept import BYTES, Kept


@dataclass(frozen=True)
class Mixtral(Kept):
    """Four layers of Mixtral's kind, 128 wide: eight experts a layer, two of them for each byte."""

    config = BYTES | {
        "model_type": "mixtral", "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 64,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "initializer_range": 0.06,
        "tie_word_embeddings": True,
    }  # fmt: skip
    sha256: ClassVar[str] = "0a7ded72a5e18888ec6e2d32c4f92b05519ed920f8ea144ac396d413952092a1"
