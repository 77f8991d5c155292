"""Passes of a language model over a prompt and what follows it, with the cache under whichever name the model has it."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True, eq=False)
class Read:
    """After some tokens."""

    logits: Tensor  # of the last place alone: (batch, vocabulary)
    cache: Any
    tokens: int


def prompt(model: PreTrainedModel, batch: int, tokens: int) -> Tensor:
    """Symbols drawn from the vocabulary: (batch, tokens)."""
    torch = transformers_module("torch")
    source = torch.Generator().manual_seed(0)
    found: Tensor = torch.randint(0, model.config.vocab_size, (batch, tokens), generator=source)
    return found


def prefill(model: PreTrainedModel, symbols: Tensor, chunk: int = 0) -> Read:
    """Read a prompt.

    Args:
        model: in evaluation mode.
        symbols: (batch, tokens).
        chunk: tokens of a pass; 0: all in one. Memory for activations grows with it, not with the prompt.
    """
    tokens = symbols.shape[1]
    size = chunk or tokens
    read = step(model, symbols[:, :size])
    for begin in range(size, tokens, size):
        read = step(model, symbols[:, begin : begin + size], read)
    return read


def step(model: PreTrainedModel, symbols: Tensor, before: Read | None = None) -> Read:
    """Read some tokens more; the cache of `before` is used up."""
    torch = transformers_module("torch")
    seen, tokens = before.tokens if before else 0, symbols.shape[1]
    taken = signature(model.forward).parameters
    cache = "cache_params" if "cache_params" in taken else "past_key_values"
    given = {cache: before.cache if before else None}
    if "position_ids" in taken:  # not all count on from the cache by themselves
        given["position_ids"] = torch.arange(seen, seen + tokens)[None]
    with torch.no_grad():
        found = model(symbols, use_cache=True, logits_to_keep=1, **given)
    return Read(found.logits[:, -1], found[cache], seen + tokens)
