"""A policy put into a model of transformers by its registries; nothing of the model is changed for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kv.policies.contract import Policy
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.attention._cache import PolicyCache

I64 = NDArray[np.int64]


@contextmanager
def attending(model: PreTrainedModel, policy: Policy) -> Iterator[PolicyCache]:
    """The cache of a policy, to be passed to the model as `past_key_values` inside the block; see `using`.

    Raises:
        MissingExtra: transformers is not installed.
        InputError: the model has no attention to exchange.
    """
    cache = empty_cache(model, policy)
    with using(model, cache):
        yield cache


def empty_cache(model: PreTrainedModel, policy: Policy) -> PolicyCache:
    """A cache of a policy with a store for each of the model's layers.

    Raises:
        MissingExtra: transformers is not installed.
        InputError: the model has no attention to exchange.
    """
    found: PolicyCache = transformers_module("shoal.llm.attention._cache").PolicyCache(policy, layers_of(model))
    return found


@contextmanager
def using(model: PreTrainedModel, cache: PolicyCache) -> Iterator[None]:
    """The model attends to what this cache's stores select, inside the block; afterwards it is as before.

    The attention is registered with transformers under a name of its own for as long.
    """
    parts = transformers_module("shoal.llm.attention._cache")
    with transformers_module("shoal.llm.attention._exchange").exchanged(model, parts.attention(cache)):
        yield


def generate(model: PreTrainedModel, tokens: I64, policy: Policy, new: int, **options: Any) -> I64:
    """Text by transformers' own `generate`, greedily unless the options say otherwise.

    Args:
        model: a causal language model.
        tokens: (batch, places), of one length.
        policy: of the cache.
        new: tokens to add, all of them: no token ends the text early.
        options: further ones of `generate`.

    Returns:
        (batch, places + new).

    Raises:
        MissingExtra: transformers is not installed.
        InputError: no tokens, or more than the model's context holds.
    """
    tokens = np.atleast_2d(np.asarray(tokens, np.int64))
    check_context(model, tokens.shape[1], new)
    torch = transformers_module("torch")
    wanted = {"do_sample": False, "min_new_tokens": new, "max_new_tokens": new, "pad_token_id": 0, **options}
    given = torch.from_numpy(tokens)
    with torch.no_grad(), attending(model, policy) as cache:
        found = model.generate(given, attention_mask=torch.ones_like(given), past_key_values=cache, **wanted)
    answer: I64 = found.numpy()
    return answer


def layers_of(model: PreTrainedModel) -> int:
    """Layers of a model whose caches are all those of attention.

    Raises:
        InputError: it keeps something else.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if not model._can_set_attn_implementation() or not kinds <= {"full_attention", "sliding_attention"}:
        raise InputError("a model without attention in each layer takes no policy of keys and values",
                         where=str(config.model_type), had=", ".join(sorted(kinds)))  # fmt: skip
    return int(config.num_hidden_layers)


def check_context(model: PreTrainedModel, places: int, new: int) -> None:
    """Refuse what the model cannot see.

    Raises:
        InputError: no tokens, or more than its context.
    """
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None) or places + new
    if places < 1 or new < 1:
        raise InputError("no tokens to begin with, or none to add", had=f"{places} and {new}")
    if places + new > most:
        raise InputError("more tokens than the model's context holds", needed=f"at most {most}",
                         had=f"{places} + {new}")  # fmt: skip
