"""A small MLP-Mixer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import nn

    from shoal.train.binary import Algorithm
    from shoal.train.data import Shape


@dataclass(frozen=True)
class MlpMixer:
    """Products over places and over channels in turn, each pair with a way around it."""

    width: int = 32  # channels
    depth: int = 2  # blocks

    kind = "MLP"

    def build(self, task: Shape, algorithm: Algorithm | None = None) -> nn.Module:
        """See `Net.build`."""
        torch_module()
        from torch import nn

        from shoal.train.nets import _parts as parts

        side = parts.grid_side(task, 4)
        blocks: list[nn.Module] = []
        for _ in range(self.depth):
            blocks += [
                parts.Turned(parts.linear_pair(algorithm, side**2, 2 * side**2)),
                parts.linear_pair(algorithm, self.width, 2 * self.width),
            ]
        return nn.Sequential(
            parts.Stem(task, self.width, side),
            parts.Tokens(self.width, side**2),
            *blocks,
            parts.Head(self.width, task.classes, grid=False),
        )
