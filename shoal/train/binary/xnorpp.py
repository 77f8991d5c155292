"""Signs with a learned scale for each place: XNOR-Net++, arXiv 1909.13863."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.binary._plain import Plain
from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Xnorpp(Plain):
    """Γ, the outer product of a learned figure an output, a row and a column of places; each begins at 1.

    Rows of figures have no places: there Γ is a figure an output.
    """

    def prepare(self, layer: Layer) -> None:
        """Γ's factors."""
        import torch
        from torch import nn

        layer.gamma_rows = nn.Parameter(torch.ones(layer.rows))
        layer.gamma_places = nn.ParameterList([nn.Parameter(torch.ones(size)) for size in layer.places])

    def scale(self, layer: Layer, w: Tensor, x: Tensor) -> Tensor | None:
        """See `Algorithm.scale`."""
        found: Tensor = layer.spread(layer.gamma_rows)
        places = list(layer.gamma_places)
        return found * places[0][:, None] * places[1] if places else found
