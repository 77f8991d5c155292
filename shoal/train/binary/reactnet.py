"""Signs of shifted inputs: ReActNet, arXiv 2003.03488."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.binary._plain import Plain
from shoal.train.binary.contract import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Reactnet(Plain):
    """sign(x + b) with a learned shift b a channel; α of each output; a shifted PReLU after, a shortcut around."""

    each_shortcut = True
    rectified = True

    def prepare(self, layer: Layer) -> None:
        """The shifts of the inputs."""
        import torch
        from torch import nn

        layer.shift = nn.Parameter(torch.zeros(layer.channels))

    def inputs(self, layer: Layer, x: Tensor) -> Tensor:
        """See `Algorithm.inputs`."""
        from shoal.train.binary._sign import polynomial, sign

        return sign(x + layer.spread(layer.shift), polynomial)
