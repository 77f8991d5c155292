"""What most configurations say in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.llm.architecture import Architecture, Layer
from shoal.llm.config import Config
from shoal.llm.decoder.rotary import rotary
from shoal.llm.decoder.values import Decoder
from shoal.llm.parts import Attention


def whole(config: Config, layers: Sequence[Layer], *, tied: bool = False) -> Architecture:
    """The model around its layers.

    Args:
        config: of it.
        layers: of it.
        tied: whether one matrix serves both ends where the configuration does not say.
    """
    return Architecture(
        kind=config.need("model_type", str),
        vocabulary=config.size("vocab_size"),
        width=config.size("hidden_size"),
        layers=tuple(layers),
        context=config.size("max_position_embeddings", 1 << 20),
        tied=config.get("tie_word_embeddings", tied),
    )


def attention(config: Config, *, window: int = 0, biased: bool = False, normed: bool = False) -> Attention:
    """Grouped-query attention."""
    heads = config.size("num_attention_heads")
    return Attention(
        heads=heads,
        kv_heads=config.size("num_key_value_heads", heads),
        head=config.size("head_dim", config.size("hidden_size") // heads),
        window=window,
        biased=biased,
        normed=normed,
    )


def decoder(config: Config, architecture: Architecture) -> Decoder:
    """What such a model computes where nothing is out of the ordinary."""
    head = architecture.layers[0].mixer.head if isinstance(architecture.layers[0].mixer, Attention) else 1
    return Decoder(
        architecture=architecture,
        places=(rotary(config),) * len(architecture.layers),
        epsilon=config.get("rms_norm_eps", 1e-6),
        scale=head**-0.5,
    )
