"""Differential attention in torch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from shoal.errors import InputError
from shoal.train.language.decoder import Decoder
from shoal.train.ternary._layers import normal

SPREAD = 0.1  # of the vectors that λ is made of, at first


class Differential(nn.Module):
    """Two attentions, the second taken off the first λ times; what a head then gives is normalised.

    λ = exp(λq1·λk1) − exp(λq2·λk2) + λ₀, λ₀ = 0.8 − 0.6·exp(−0.3·layer). [Ye et al., arXiv 2410.05258] Halves of queries
    and keys are every other pair of rotated channels, so that both halves see places in the same way.
    """

    def __init__(self, shape: Decoder, seed: int = 0) -> None:
        super().__init__()
        if shape.head % 4:
            raise InputError("heads that cannot be halved in pairs", needed="a multiple of 4", had=str(shape.head))
        source = torch.Generator().manual_seed(seed)
        self.vectors = nn.Parameter(SPREAD * torch.randn(shape.layers, 4, shape.head // 2, generator=source))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, layer: int) -> Tensor:
        """As `language._module.attend`."""
        (q1, q2), (k1, k2) = halves(q), halves(k)
        first = 0.8 - 0.6 * math.exp(-0.3 * layer)
        a, b, c, d = self.vectors[layer]
        share = torch.exp(a @ b) - torch.exp(c @ d) + first
        attend = nn.functional.scaled_dot_product_attention
        mixed = attend(q1, k1, v, is_causal=True) - share * attend(q2, k2, v, is_causal=True)
        return normal(mixed) * (1 - first)


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """(…, width of a head) to twice half of it: even and odd pairs, where channel i is paired with i + half."""
    parts = x.reshape(*x.shape[:-1], 2, -1, 2)
    return parts[..., 0].flatten(-2), parts[..., 1].flatten(-2)
