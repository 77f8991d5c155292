"""What makes a graph of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from shoal.graph import Graph
from shoal.llm.blocks._made import Step


class Blocks(Protocol):
    """A technique of `llm/blocks`: one entry of a language model, prefill or decode.

    The graph is a row: symbols → embedding → for each layer what lets tokens see others (`layers.3.mixer`), then what
    each token goes through (`layers.3.product`, or `layers.3.router` and `layers.3.experts.0-63`, `64-127` …) → head
    → logits of the next symbol. What is kept of a sequence is a state of its mixer (`Carried`, one a session), so it
    stays on the unit that runs it. Between the experts of a layer go the normed tokens, the sum so far and the choice.
    """

    def graph(self, config: str | Path | Mapping[str, Any]) -> Graph:
        """The blocks of a configuration (a folder, a file or its entries), in an order in which they can run.

        Raises:
            ModelError: the configuration does not say what is needed.
            InputError: a size is out of range, or there is no such format.
        """

    def step(self, config: str | Path | Mapping[str, Any]) -> Step:
        """What an item brings; raises like `graph`."""
