"""As many experts as a token needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from shoal.errors import InputError
from shoal.llm.experts._blocks import Block, blocks
from shoal.llm.experts._chosen import ranked
from shoal.llm.experts._handle import Handle
from shoal.llm.experts.contract import Settled

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64


@dataclass(frozen=True)
class DynamicK:
    """A token goes through the fewest of its chosen experts whose shares of the router add up to τ, the heaviest first.

    Weights of those left are scaled to the same sum. [Huang et al., "Harder Tasks Need More Experts", 2024]
    """

    enough: float = 0.5  # τ: share of the router, of all experts together 1

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = ("how many a token meets",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        if not 0 <= self.enough <= 1:
            raise InputError("a share from 0 to 1 is needed", where="dynamic_k", had=f"{self.enough:g}")
        handle = Handle()
        handle.loops(model)
        for each in blocks(model):
            handle.hook(each.router, self._choosing(each))
        return handle

    def _choosing(self, block: Block) -> Any:
        def chosen_anew(_: Any, given: Any, answer: Any) -> Any:
            logits, weights, chosen = answer
            weights, chosen = ranked(weights, chosen)
            shares = block.shares(logits).gather(-1, chosen)
            stays = shares.cumsum(-1) - shares < self.enough
            stays[:, 0] = True
            left = weights * stays
            left = left * (weights.sum(-1, keepdim=True) / left.sum(-1, keepdim=True))
            return logits, left, chosen.masked_fill(~stays, block.count)

        return chosen_anew
