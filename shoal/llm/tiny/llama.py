"""The dense one: the decoder of `shoal.train.language`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.llm.tiny.contract import Tiny

if TYPE_CHECKING:
    from shoal.train.language.decoder import F32, Decoder


@dataclass(frozen=True)
class Llama:
    """Four layers of Llama's kind, 192 wide, six heads; 1.8 million weights."""

    def model(self) -> Tiny:
        """See `Kind`."""
        from shoal.train.language import tiny

        decoder, weights = tiny()
        return llama(decoder, weights)


def llama(decoder: Decoder, weights: Mapping[str, F32]) -> Tiny:
    """A decoder of `shoal.train.language` as transformers has it; places beyond those it has learned are allowed."""
    config = {
        "model_type": "llama", "vocab_size": decoder.vocabulary, "hidden_size": decoder.width,
        "num_hidden_layers": decoder.layers, "num_attention_heads": decoder.heads,
        "num_key_value_heads": decoder.heads, "intermediate_size": decoder.hidden,
        "max_position_embeddings": 4096, "rms_norm_eps": decoder.epsilon, "rope_theta": decoder.theta,
        "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip
    return Tiny(config, {f"model.{name}": each for name, each in weights.items()})
