"""A small residual convolutional network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import nn

    from shoal.train.binary import Algorithm
    from shoal.train.data import Shape


@dataclass(frozen=True)
class ResidualCnn:
    """Pairs of 3×3 convolutions with ways around them, on a grid of 8×8 places and then on one of 4×4."""

    width: int = 24  # channels
    fine: int = 1  # pairs on the finer grid
    coarse: int = 1  # pairs on the coarser one

    kind = "CNN"

    def build(self, task: Shape, algorithm: Algorithm | None = None) -> nn.Module:
        """See `Net.build`."""
        torch_module()
        from torch import nn

        from shoal.train.nets import _parts as parts

        side = parts.grid_side(task, 8)
        sides = [side] * self.fine + [4] * self.coarse
        pairs = [
            parts.Pair(
                parts.conv_unit(algorithm, self.width, each, True),
                parts.conv_unit(algorithm, self.width, each, False),
            )
            for each in sides
        ]
        return nn.Sequential(
            parts.Stem(task, self.width, side),
            *pairs[: self.fine],
            nn.AdaptiveAvgPool2d(4),
            *pairs[self.fine :],
            parts.Head(self.width, task.classes, grid=True),
        )
