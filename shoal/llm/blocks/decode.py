"""The entry that adds a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal import catalog
from shoal.graph import Graph
from shoal.llm.blocks._made import Step, graph_of
from shoal.llm.config import architecture

USUAL = 4096  # tokens


@dataclass(frozen=True)
class Decode:
    """One more token of each sequence, which sees all that is kept of it."""

    batch: int = 1  # sequences of an item, one token each
    context: int = 0  # tokens that the new one sees, itself included: what is kept has room for them; 0: up to 4096
    weights: str = "float16"  # format of the layers': float32, float16, fp8, int8, int4g128 …
    experts: int = 64  # of one block at most
    heads: int = 1  # blocks that the head is cut into

    def graph(self, config: str | Path | Mapping[str, Any]) -> Graph:
        """See `Blocks`."""
        return graph_of(config, self.step(config), catalog.spelled("decode", self))

    def step(self, config: str | Path | Mapping[str, Any]) -> Step:
        """See `Blocks`."""
        context = self.context or min(USUAL, architecture(config).context)
        return Step(self.batch, 1, context, self.weights, self.experts, self.heads)
