"""What most ways of binarising share; each changes what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


class Plain:
    """Signs whose gradients pass where the magnitude is at most 1, and α of each output, the mean of |w|."""

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
