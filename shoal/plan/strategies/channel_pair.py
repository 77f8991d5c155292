"""Layers in pairs, the first by output channels and the second by input channels, with nothing sent between."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.plan.strategies._channels import Channelwise


@dataclass(frozen=True)
class ChannelPair(Channelwise):
    """Layers in pairs, the first by output channels and the second by input channels, with nothing sent between."""

    def by_input(self, opened: bool) -> bool:
        """In pairs: by input what a layer divided by output feeds."""
        return opened
