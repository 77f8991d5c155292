"""The one with latent attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from shoal.llm.tiny._kept import BYTES, SHORT, Kept


@dataclass(frozen=True)
class DeepseekV3(Kept):
    """Four layers of DeepSeek V3's kind, 128 wide: a latent of 32 and a key of 16 a byte; a dense layer, then experts.

    Of eight experts in four groups two of two groups are chosen, and one is shared.
    """

    config = BYTES | {
        "model_type": "deepseek_v3", "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 4, "q_lora_rank": 64, "kv_lora_rank": 32, "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16, "v_head_dim": 32, "intermediate_size": 256, "moe_intermediate_size": 64,
        "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 4, "topk_group": 2,
        "first_k_dense_replace": 1, "norm_topk_prob": True, "routed_scaling_factor": 1.0,
        "num_nextn_predict_layers": 0, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "initializer_range": 0.06, "tie_word_embeddings": False,
    }  # fmt: skip
    recipe = SHORT
    sha256: ClassVar[str] = "51b231830a722aa41eab37a5decfc60d5178c6d225ff80d5806986c560dd6849"
