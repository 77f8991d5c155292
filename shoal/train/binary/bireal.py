"""Signs with a way around every convolution: Bi-Real Net, arXiv 1808.00278."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Bireal:
    """α of each output; the inputs' gradient is that of a piecewise polynomial; a shortcut around every convolution."""

    each_shortcut = True
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
        from shoal.train.binary._sign import polynomial, sign

        return sign(x, polynomial)

    def scale(self, layer: Layer, w: Tensor, x: Tensor) -> Tensor | None:
        """See `Algorithm.scale`."""
        from shoal.train.binary._sign import mean_magnitude

        found: Tensor = layer.spread(mean_magnitude(w))
        return found
