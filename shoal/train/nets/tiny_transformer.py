"""A small transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.errors import InputError
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import nn

    from shoal.train.binary import Algorithm
    from shoal.train.data import Shape


@dataclass(frozen=True)
class TinyTransformer:
    """Self-attention over 16 places, and two products through twice the channels, each with a way around."""

    width: int = 32  # channels
    depth: int = 2  # blocks
    heads: int = 2  # that divide the channels

    kind = "transformer"

    def build(self, task: Shape, algorithm: Algorithm | None = None) -> nn.Module:
        """See `Net.build`."""
        torch_module()
        from torch import nn

        from shoal.train.nets import _parts as parts

        if self.heads < 1 or self.width % self.heads:
            raise InputError("heads that do not divide the channels", had=f"{self.heads} and {self.width}")
        side = parts.grid_side(task, 4)
        blocks: list[nn.Module] = []
        for _ in range(self.depth):
            units = [parts.linear_unit(algorithm, self.width, self.width) for _ in range(4)]
            blocks += [
                parts.Attention(units, self.heads), parts.linear_pair(algorithm, self.width, 2 * self.width)
            ]  # fmt: skip
        return nn.Sequential(
            parts.Stem(task, self.width, side),
            parts.Tokens(self.width, side**2),
            *blocks,
            parts.Head(self.width, task.classes, grid=False),
        )
