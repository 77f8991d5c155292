"""Signs with the mean magnitude of weights: DoReFa-Net at one bit, arXiv 1606.06160."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Dorefa:
    """α of each output, the mean of |w|.

    One an output, as in public code; the paper has one a layer.
    """

    each_shortcut = False
    rectified = False
    by_item = False

    def prepare(self, layer: Layer) -> None:
        """Nothing is learned but the weights."""

    def weights(self, layer: Layer, w: Tensor) -> Tensor:
        """See `Algorithm.weights`."""
        from shoal.train.binary._sign import clipped, sign

        return sign(w, clipped)

    def inputs(self, layer: Layer, x: Tensor) -> Tensor:
        """See `Algorithm.inputs`."""
        from shoal.train.binary._sign import clipped, sign

        return sign(x, clipped)

    def scale(self, layer: Layer, w: Tensor, x: Tensor) -> Tensor | None:
        """See `Algorithm.scale`."""
        from shoal.train.binary._sign import mean_magnitude

        found: Tensor = layer.spread(mean_magnitude(w))
        return found
