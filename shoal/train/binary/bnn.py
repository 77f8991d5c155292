"""Signs and nothing else: Binarized Neural Networks, arXiv 1602.02830."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.binary._plain import Plain
from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Bnn(Plain):
    """sign(w), sign(x); gradients pass where the magnitude is at most 1."""

    def scale(self, layer: Layer, w: Tensor, x: Tensor) -> Tensor | None:
        """See `Algorithm.scale`."""
        return None
