"""Attention in parts: each gives its largest score, its sum and its mix, which merge exactly, in any order.

[Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; H2EAL, arXiv 2508.16653]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Partial:
    """What a part gives to queries of any leading shape: width + 2 figures each, in float32."""

    largest: Tensor  # (…): m, of the scores; −∞ where nothing is seen
    total: Tensor  # (…): l = Σ e^(s − m)
    mixed: Tensor  # (…, width): o = Σ e^(s − m) · v

    def merged(self, other: Partial) -> Partial:
        """Both parts as one."""
        torch = torch_module()
        largest = torch.maximum(self.largest, other.largest)
        shares = [_weight(each.largest, largest) for each in (self, other)]
        total = self.total * shares[0] + other.total * shares[1]
        mixed = self.mixed * shares[0][..., None] + other.mixed * shares[1][..., None]
        return Partial(largest, total, mixed)

    @property
    def output(self) -> Tensor:
        """The attention's output, (…, width)."""
        return self.mixed / self.total[..., None]


def partial(queries: Tensor, keys: Tensor, values: Tensor, scale: float, seen: Tensor | None = None) -> Partial:
    """Attend to a part, which may have no tokens.

    Args:
        queries: (…, queries, width).
        keys: (…, tokens, width).
        values: (…, tokens, width).
        scale: of the products.
        seen: (…, queries, tokens), True where a token is seen; none: everywhere.
    """
    scores = (queries @ keys.transpose(-1, -2)).float() * scale
    if seen is not None:
        scores = scores.masked_fill(~seen, float("-inf"))
    if not scores.shape[-1]:
        empty = scores.new_full(scores.shape[:-1], float("-inf"))
        return Partial(empty, empty.new_zeros(empty.shape), scores.new_zeros((*empty.shape, values.shape[-1])))
    largest = scores.amax(dim=-1)
    shares = (scores - largest.clamp(min=-3e38)[..., None]).exp_()
    return Partial(largest, shares.sum(dim=-1), (shares.to(values.dtype) @ values).float())


def merged(parts: Sequence[Partial]) -> Partial:
    """All parts as one."""
    return reduce(Partial.merged, parts)


def _weight(part: Tensor, whole: Tensor) -> Tensor:
    """What a part's sums count; nothing where it has seen nothing."""
    return (part - whole.clamp(min=-3e38)).exp()
