"""Each unit holds a share of every layer's output channels, and all gather what the next layer reads."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.plan.strategies._channels import Channelwise


@dataclass(frozen=True)
class ChannelOut(Channelwise):
    """Each unit holds a share of every layer's output channels, and all gather what the next layer reads."""

    def by_input(self, opened: bool) -> bool:
        """Never: every layer by its output channels."""
        return False
