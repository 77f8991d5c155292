"""Signs and nothing else: Binarized Neural Networks, arXiv 1602.02830."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Bnn:
    """sign(w), sign(x); gradients pass where the magnitude is at most 1."""

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
        return None
