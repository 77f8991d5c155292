"""The short vector and the rotary key of multi-head latent attention: what its layers hand to a cache.

[DeepSeek-AI, "DeepSeek-V2", 2024] transformers keeps both as one KV head: the vector in the place of the key, the
rotary key in that of the value, and expands them for all heads behind the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.errors import InputError
from shoal.kv.policies.contract import Head
from shoal.kv.policies.full import Whole

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Latent:
    """Everything is kept and read, unexpanded; a model that keeps more than one head is refused."""

    def store(self, layer: int) -> Vectors:
        """See `Policy`."""
        return Vectors()

    def held_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`; `head` has the widths of the vector and of the rotary key."""
        return tokens * head.token_bytes

    read_bytes = held_bytes


class Vectors(Whole):
    """A store of latents."""

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """See `Store`."""
        if keys.shape[1] != 1:
            raise InputError("a model without latents", where="latent cache", needed="one vector a token",
                             had=f"{keys.shape[1]} KV heads", hint="the policy 'full' keeps those")  # fmt: skip
        return super().append(keys, values)
