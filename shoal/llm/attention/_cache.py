"""Stores of a policy as layers of transformers' cache, and the attention that reads what they select."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from shoal.errors import InputError
from shoal.kv.merging import merged, partial
from shoal.kv.policies.contract import Part, Policy, Store, Traffic
from shoal.kv.policies.full import Whole
from shoal.kv.policies.latent import Vectors
from shoal.kv.policies.quantised import Rounded
from shoal.llm.attention._exchange import Attention, dense

WHOLE = (Whole, Vectors, Rounded)  # stores that hand on everything, which may be latents


class PolicyLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is typed in part
    """What transformers asks of a layer, answered by a store."""

    is_croppable = True

    def __init__(self, policy: Policy, at: int) -> None:
        super().__init__()
        self.policy, self.at = policy, at
        self.store = policy.store(at)

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Stores begin by themselves."""
        self.dtype, self.device, self.width = key_states.dtype, key_states.device, key_states.shape[-1]
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Keep new keys and values; what comes back is read by an attention that reads everything."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        return self.store.append(key_states, value_states)

    def get_seq_length(self) -> int:
        """All tokens so far, kept or not: places follow from it."""
        return self.store.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Masks are of all tokens; what is not read is left out of them later."""
        return self.store.length + query_length, 0

    def get_max_length(self) -> int:
        """There is none."""
        return -1

    def crop(self, tokens_to_remove: int) -> None:
        """Take tokens back; transformers counts them below zero."""
        self.store.crop(abs(tokens_to_remove))

    def reset(self) -> None:
        """Begin anew."""
        self.store = self.policy.store(self.at)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Refuse what beams would need."""
        raise InputError("a cache of policies does not follow beams", hint="num_beams=1")


class PolicyCache(Cache):  # type: ignore[misc]  # transformers is typed in part
    """The stores of all layers."""

    layers: list[PolicyLayer]

    def __init__(self, policy: Policy, layers: int) -> None:
        super().__init__(layers=[PolicyLayer(policy, at) for at in range(layers)])
        self.policy = policy

    @property
    def stores(self) -> list[Store]:
        """By layer."""
        return [layer.store for layer in self.layers]

    def traffic(self) -> Traffic:
        """Bytes moved by all layers since it was asked for last."""
        return sum((store.traffic() for store in self.stores), Traffic())


def attention(cache: PolicyCache) -> Attention:
    """What models call in place of their own attention, reading from this cache."""

    def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
        layer = cache.layers[module.layer_idx]
        store = layer.store
        if type(store) in WHOLE:
            store.select(query)
            return dense(module, query, key, value, mask, **options)
        if query.shape[-1] != layer.width:
            raise InputError("a policy that chooses among keys cannot read latents",
                             hint="the policy 'latent' keeps them")  # fmt: skip
        batch, heads, tokens, width = query.shape
        group = getattr(module, "num_key_value_groups", 1)
        grouped = query.view(batch, heads // group, group, tokens, width)
        parts = store.select(grouped)
        if parts is None:
            return dense(module, query, key, value, mask, **options)
        scale = options.get("scaling") or query.shape[-1] ** -0.5
        return _read(grouped, parts, mask, scale, store.length), None

    return attend


def _read(queries: Tensor, parts: Sequence[Part], mask: Tensor | None, scale: float, length: int) -> Tensor:
    """Attention over parts, (batch, tokens, heads, width), of queries (batch, KV heads, queries of one, tokens, width)."""
    batch, kv_heads, group, tokens, _ = queries.shape
    found = queries.new_empty((batch, kv_heads, group * tokens, parts[0].values.shape[-1]))
    for heads in dict.fromkeys(tuple(part.heads) for part in parts):
        index = slice(None) if len(heads) == kv_heads else torch.tensor(heads)
        asked = queries[:, index].flatten(2, 3)
        gives = [
            partial(asked, part.keys, part.values, scale, _seen(part, mask, group, tokens, length))
            for part in parts
            if tuple(part.heads) == heads
        ]
        found[:, index] = merged(gives).output.to(found.dtype)
    answer: Tensor = found.view(batch, kv_heads * group, tokens, -1).transpose(1, 2).contiguous()
    return answer


def _seen(part: Part, mask: Tensor | None, group: int, tokens: int, length: int) -> Tensor | None:
    """Which tokens of a part each query sees, (batch, heads, queries, tokens); none: all."""
    if tokens == 1 and mask is None:
        return None
    at = torch.arange(length - tokens, length)[:, None]
    places = part.places if part.places.dim() == 3 else part.places.expand(1, 1, -1)
    seen = places[:, :, None] <= at
    if part.recent:
        seen = seen & (places[:, :, None] > at - part.recent)
    if mask is not None:
        seen = seen & _taken(mask, places)
    return seen.repeat(1, 1, group, 1)


def _taken(mask: Tensor, places: Tensor) -> Tensor:
    """The columns of a mask (batch, 1, tokens, all places) at places (… , heads, some)."""
    batch, heads = max(mask.shape[0], places.shape[0]), places.shape[1]
    index = places[:, :, None].expand(batch, heads, mask.shape[2], -1)
    found: Tensor = mask.expand(batch, heads, -1, -1).gather(3, index)
    return found
