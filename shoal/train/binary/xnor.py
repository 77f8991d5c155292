"""Signs with the mean magnitudes of weights and inputs: XNOR-Net, arXiv 1603.05279."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.binary._plain import Plain
from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Xnor(Plain):
    """α of each output times β of each item, the means of |w| and |x|.

    β is one figure an item, as in public code; the paper has a map of it over the places.
    """

    by_item = True

    def scale(self, layer: Layer, w: Tensor, x: Tensor) -> Tensor | None:
        """See `Algorithm.scale`."""
        from shoal.train.binary._sign import mean_magnitude

        beta = x.detach().abs().flatten(1).mean(dim=1)
        found: Tensor = layer.spread(mean_magnitude(w)) * beta.view(-1, *[1] * (x.ndim - 1))
        return found
