"""Latent attention without expanding keys and values, in transformers' own modules and with their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from shoal.errors import ModelError
from shoal.llm.latent_cost import absorbs
from shoal.llm.library import transformers_module
from shoal.llm.parts import Latent

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Cache, PreTrainedModel

Choice = Callable[[Latent, int, int], bool]  # shape, tokens that ask, tokens that are seen → absorbed?


@contextmanager
def absorbed(model: PreTrainedModel, choose: Choice = absorbs) -> Iterator[PreTrainedModel]:
    """`model`, whose latent attention absorbs `kv_b_proj` until the block ends.

    Args:
        model: of transformers' kind deepseek_v3; its cache keeps short vectors and rotary keys, as without.
        choose: when to absorb; else the layer does as it did.

    Raises:
        ModelError: it has no latent attention.
    """
    layers = attentions(model)
    for layer in layers:
        layer.forward = partial(_forward, layer, layer.forward, choose)
    try:
        yield model
    finally:
        for layer in layers:
            del layer.forward  # the class's is left


def always(latent: Latent, queries: int, seen: int) -> bool:
    """Absorb, whatever it takes."""
    return True


def attentions(model: PreTrainedModel) -> list[Any]:
    """Its layers of latent attention.

    Raises:
        ModelError: there is none.
    """
    kind = transformers_module("transformers.models.deepseek_v3.modeling_deepseek_v3").DeepseekV3Attention
    found = [each for each in model.modules() if isinstance(each, kind)]
    if not found:
        raise ModelError("a model without latent attention", where=str(model.config.model_type))
    return found


def kept_bytes(cache: Cache) -> int:
    """Bytes of the tensors that a cache of transformers holds."""
    tensors = [each for layer in cache.layers for each in (layer.keys, layer.values) if each is not None]
    return sum(int(each.numel()) * int(each.element_size()) for each in tensors)


def shape_of(layer: Any) -> Latent:
    """The sizes of one layer."""
    return Latent(
        heads=layer.num_heads,
        query_rank=layer.q_lora_rank or 0,
        rank=layer.kv_lora_rank,
        plain=layer.qk_nope_head_dim,
        rotary=layer.qk_rope_head_dim,
        value=layer.v_head_dim,
    )


def _forward(
    layer: Any,
    expanded: Callable[..., Any],
    choose: Choice,
    hidden_states: Tensor,
    position_embeddings: tuple[Tensor, Tensor],
    attention_mask: Tensor | None,
    past_key_values: Cache | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """What DeepseekV3Attention.forward gives, in the arguments it has."""
    asking = hidden_states.shape[1]
    seen = asking + (past_key_values.get_seq_length(layer.layer_idx) if past_key_values is not None else 0)
    if not choose(shape_of(layer), asking, seen):
        found: tuple[Tensor, None] = expanded(
            hidden_states, position_embeddings, attention_mask, past_key_values, **rest
        )
        return found
    plain, turned, short, key = _asked(layer, hidden_states, position_embeddings)
    if past_key_values is not None:
        short, key = past_key_values.update(short, key, layer.layer_idx)
    mixed = _mixed(layer, plain, turned, short, key, attention_mask)
    return layer.o_proj(mixed.transpose(1, 2).flatten(2)), None


def _asked(layer: Any, x: Tensor, places: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries without and with places, (batch, heads, tokens, ·); short vectors and rotary keys, (batch, 1, tokens, ·)."""
    from transformers.models.deepseek_v3 import modeling_deepseek_v3 as theirs

    queries = (
        layer.q_proj(x) if layer.q_lora_rank is None else layer.q_b_proj(layer.q_a_layernorm(layer.q_a_proj(x)))
    )
    queries = queries.view(*x.shape[:2], layer.num_heads, layer.qk_head_dim).transpose(1, 2)
    plain, turned = queries.split([layer.qk_nope_head_dim, layer.qk_rope_head_dim], dim=-1)
    short, key = layer.kv_a_proj_with_mqa(x)[:, None].split([layer.kv_lora_rank, layer.qk_rope_head_dim], dim=-1)
    turn = theirs.apply_rotary_pos_emb_interleave if layer.config.rope_interleave else theirs.apply_rotary_pos_emb
    turned, key = turn(turned, key, *places)
    return plain, turned, layer.kv_a_layernorm(short), key


def _mixed(layer: Any, plain: Tensor, turned: Tensor, short: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """(batch, heads, tokens, value): scores of the short vectors themselves, scaled as those of the expanded keys are."""
    import torch

    into, out = layer.kv_b_proj.weight.view(layer.num_heads, -1, layer.kv_lora_rank).split(
        [layer.qk_nope_head_dim, layer.v_head_dim], dim=1
    )
    batch, heads, asking, _ = plain.shape
    asked = torch.cat([plain @ into, turned], dim=-1).reshape(batch, heads * asking, -1)
    scores = (asked @ torch.cat([short, key], dim=-1)[:, 0].mT).view(batch, heads, asking, -1) * layer.scaling
    shares = _masked(scores, mask).softmax(dim=-1, dtype=torch.float32).to(short.dtype)
    mixed = (shares.reshape(batch, heads * asking, -1) @ short[:, 0]).view(batch, heads, asking, -1)
    found: Tensor = mixed @ out.mT
    return found


def _masked(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Scores of what may not be seen are the least number; without a mask a token sees itself and those before it."""
    import torch

    asking, seen = scores.shape[-2:]
    if mask is None and asking > 1:
        mask = torch.ones(asking, seen, dtype=torch.bool, device=scores.device).tril(seen - asking)
    if mask is None:
        return scores
    least = torch.finfo(scores.dtype).min  # not -inf: a token that is padding may see nothing at all
    return scores.masked_fill(~mask, least) if mask.dtype == torch.bool else scores + mask
