"""Signs as sums of sines: Frequency Domain Approximation, arXiv 2103.00841."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shoal.train.binary._plain import Plain
from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Fda(Plain):
    """The gradient is that of a square wave's first sines, ever more of them; small nets add noise that fades away.

    The noise of weights sees all that an output sums over, that of inputs the channels. Without training there is
    none. α of each output.
    """

    omega: float = 0.1  # base frequency
    first: int = 9  # index of the last sine at the beginning
    more: int = 9  # that come until the end
    noise: float = 0.1  # its share at the beginning

    def prepare(self, layer: Layer) -> None:
        """The nets that make the noise."""
        layer.training_weights = _net(layer.weight[0].numel())
        layer.training_inputs = _net(layer.channels)

    def share(self, progress: float) -> float:
        """Of the noise."""
        return self.noise / 2 * (1 + math.cos(math.pi * progress))

    def terms(self, progress: float) -> int:
        """Sines that the gradient is of."""
        return self.first + math.floor(self.more * progress) + 1

    def weights(self, layer: Layer, w: Tensor) -> Tensor:
        """See `Algorithm.weights`."""
        found = self._sign(layer, w)
        if not layer.training:
            return found
        flat = w.flatten(1)
        noise: Tensor = layer.training_weights(flat) + 0.1 * flat.sin()
        return found + self.share(layer.progress) * noise.view_as(w)

    def inputs(self, layer: Layer, x: Tensor) -> Tensor:
        """See `Algorithm.inputs`."""
        found = self._sign(layer, x)
        if not layer.training:
            return found
        noise: Tensor = layer.across(layer.training_inputs, x) + 0.1 * x.sin()
        return found + self.share(layer.progress) * noise

    def _sign(self, layer: Layer, x: Tensor) -> Tensor:
        from shoal.train.binary._sign import fourier, sign

        return sign(x, partial(fourier, terms=self.terms(layer.progress), omega=self.omega))


def _net(size: int) -> object:
    from torch import nn

    hidden = max(1, size // 64)
    return nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, size))
