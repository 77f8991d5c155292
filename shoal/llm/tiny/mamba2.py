"""The one with a state instead of attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from shoal.llm.tiny._kept import BYTES, SLOW, Kept


@dataclass(frozen=True)
class Mamba2(Kept):
    """Four layers of Mamba-2's kind, 192 wide: six heads of 64 with states of 32."""

    config = BYTES | {
        "model_type": "mamba2", "hidden_size": 192, "num_hidden_layers": 4, "num_heads": 6, "head_dim": 64,
        "state_size": 32, "n_groups": 1, "expand": 2, "conv_kernel": 4, "chunk_size": 32,
        "layer_norm_epsilon": 1e-5, "initializer_range": 0.06, "tie_word_embeddings": True,
    }  # fmt: skip
    recipe = SLOW
    sha256: ClassVar[str] = "b088e5950e92b7969ba3082e4fa46cd87c9de9f3c3858f7678ae8242888fe7fd"
