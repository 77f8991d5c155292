"""A model's attention exchanged for another, in transformers' registries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from transformers.masking_utils import AttentionMaskInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Attention = Callable[..., Any]  # module, queries, keys, values, mask, options → (output, None)
DENSE = "sdpa"  # transformers' own attention of all tokens; its masks are what every attention here gets
_numbers = count()


def dense(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
    """Transformers' attention of all tokens."""
    return ALL_ATTENTION_FUNCTIONS[DENSE](module, query, key, value, mask, **options)


@contextmanager
def exchanged(model: PreTrainedModel, attention: Attention) -> Iterator[None]:
    """The model attends so inside the block, under a name that nobody else has, and as before after it."""
    name, before = f"shoal_{next(_numbers)}", model.config._attn_implementation
    ALL_ATTENTION_FUNCTIONS[name] = attention
    AttentionMaskInterface.register(name, AttentionMaskInterface()[DENSE])
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        del ALL_ATTENTION_FUNCTIONS[name]
        del AttentionMaskInterface._global_mapping[name]  # masks of names that are not in there are not made
