"""The entry that reads a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal import catalog
from shoal.graph import Graph
from shoal.llm.blocks._made import Step, graph_of
from shoal.llm.config import architecture

USUAL = 1024  # tokens


@dataclass(frozen=True)
class Prefill:
    """All tokens of prompts at once, up to the logits of the next one; each token sees those before it and itself."""

    batch: int = 1  # prompts of an item
    tokens: int = 0  # of each; 0: up to 1024
    weights: str = "float16"  # format of the layers': float32, float16, fp8, int8, int4g128 …
    experts: int = 64  # of one block at most
    heads: int = 1  # blocks that the head is cut into

    def graph(self, config: str | Path | Mapping[str, Any]) -> Graph:
        """See `Blocks`."""
        return graph_of(config, self.step(config), catalog.spelled("prefill", self))

    def step(self, config: str | Path | Mapping[str, Any]) -> Step:
        """See `Blocks`."""
        tokens = self.tokens or min(USUAL, architecture(config).context)
        return Step(self.batch, tokens, tokens, self.weights, self.experts, self.heads)
