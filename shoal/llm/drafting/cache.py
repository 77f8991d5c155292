"""What a target remembers of a tree, thinned out to one way through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from transformers import DynamicCache


def select(cache: DynamicCache, begin: int, path: Sequence[int]) -> None:
    """Keep the first `begin` tokens, and of those after them the ones at the places of `path`, in its order.

    Args:
        cache: of transformers; each layer holds keys and values (batch, heads, tokens, width of a head).
        begin: tokens of the text.
        path: places after them.
    """
    surplus = cache.get_seq_length() - begin - len(path)
    if list(path) == list(range(len(path))):  # a chain: what is too much stands at the end
        cache.crop(-surplus)
        return
    torch = transformers_module("torch")
    kept = torch.cat([torch.arange(begin), begin + torch.tensor(path)])
    for layer in cache.layers:
        layer.keys, layer.values = (each.index_select(-2, kept) for each in (layer.keys, layer.values))
