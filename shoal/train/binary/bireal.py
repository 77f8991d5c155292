"""Signs with a way around every convolution: Bi-Real Net, arXiv 1808.00278."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.binary._plain import Plain
from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Bireal(Plain):
    """α of each output; the inputs' gradient is that of a piecewise polynomial; a shortcut around every convolution."""

    each_shortcut = True

    def inputs(self, layer: Layer, x: Tensor) -> Tensor:
        """See `Algorithm.inputs`."""
        from shoal.train.binary._sign import polynomial, sign

        return sign(x, polynomial)
