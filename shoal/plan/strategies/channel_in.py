"""Each unit holds a share of every layer's input channels, and partial sums are exchanged."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.plan.strategies._channels import Channelwise


@dataclass(frozen=True)
class ChannelIn(Channelwise):
    """Each unit holds a share of every layer's input channels, and partial sums are exchanged."""

    def by_input(self, opened: bool) -> bool:
        """Always, as far as a layer can be."""
        return True
