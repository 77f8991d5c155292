"""Small configurations of each kind of mixer, with weights of a seed."""

from __future__ import annotations

from typing import Any

ENDS = {"vocab_size": 256, "hidden_size": 32, "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": None,
        "pad_token_id": None}  # fmt: skip
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 64}
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "max_position_embeddings": 512,
    **ENDS,
    **HEADS,
}
MAMBA2: dict[str, Any] = {
    "model_type": "mamba2", "num_hidden_layers": 2, "num_heads": 4, "head_dim": 16, "state_size": 16, "n_groups": 2,
    "expand": 2, "chunk_size": 32, **ENDS,
}  # fmt: skip
BAMBA: dict[str, Any] = {
    "model_type": "bamba", "num_hidden_layers": 2, "attn_layer_indices": [1], "mamba_n_heads": 4, "mamba_d_head": 16,
    "mamba_d_state": 16, "mamba_n_groups": 1, "mamba_chunk_size": 32, "max_position_embeddings": 512, **ENDS, **HEADS,
}  # fmt: skip
