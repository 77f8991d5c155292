"""Signs of weights that are revived: ReCU, arXiv 2103.12369."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.binary._plain import Plain
from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Recu(Plain):
    """Weights are standardised and clamped to ±Q of the quantile τ, so that the largest go on learning.

    τ grows from `first` to `last` with the exponential of training's progress. Inputs are divided by their deviation
    while training, which changes their gradient and no sign. The scale of each output is learned from 1/√columns on.
    """

    first: float = 0.85  # τ at the beginning
    last: float = 0.99  # τ at the end

    def prepare(self, layer: Layer) -> None:
        """The scale of each output."""
        import torch
        from torch import nn

        layer.alpha = nn.Parameter(torch.full((layer.rows,), layer.weight[0].numel() ** -0.5))

    def tau(self, progress: float) -> float:
        """A·e^progress + B, with A and B so that it runs from `first` to `last`."""
        a = (self.last - self.first) / (math.e - 1)
        return a * math.exp(progress) + self.first - a

    def weights(self, layer: Layer, w: Tensor) -> Tensor:
        """See `Algorithm.weights`."""
        from shoal.train.binary._sign import sign, straight

        flat = w.flatten(1)
        centred = flat - flat.mean(dim=1, keepdim=True)
        spread = centred.std(dim=1, keepdim=True, unbiased=False).clamp_min(1e-8) / (2 * math.sqrt(2))
        standard = centred / spread
        most = -standard.detach().abs().mean(dim=1, keepdim=True) * math.log(2 - 2 * self.tau(layer.progress))
        held = standard.maximum(-most).minimum(most)
        return sign(held, straight).view_as(w)

    def inputs(self, layer: Layer, x: Tensor) -> Tensor:
        """See `Algorithm.inputs`."""
        from shoal.train.binary._sign import polynomial, sign

        if not layer.training:
            return sign(x, polynomial)
        return sign(x / x.std().clamp_min(1e-8), polynomial)

    def scale(self, layer: Layer, w: Tensor, x: Tensor) -> Tensor | None:
        """See `Algorithm.scale`."""
        found: Tensor = layer.spread(layer.alpha)
        return found
