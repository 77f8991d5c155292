"""No experts any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from shoal.errors import InputError
from shoal.llm.experts._blocks import Block, blocks
from shoal.llm.experts._fit import fit_block, given
from shoal.llm.experts._handle import Handle
from shoal.llm.experts._seen import Seen, seen
from shoal.llm.experts.contract import Settled
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64


@dataclass(frozen=True)
class Dense:
    """One gated product instead of each layer's experts, as wide as those that a token meets, trained to give the same.

    It begins as the experts that are used most, each with its share. [Xue et al., "One Student Knows All Experts Know",
    2022]
    """

    steps: int = 120  # of training, a layer
    rate: float = 2e-3  # of the first step

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = (
        "which experts there are",
        "how wide experts are",
        "how many a token meets",
    )

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        if self.steps < 1:
            raise InputError("no training without a step", where="dense", had=str(self.steps))
        handle = Handle()
        for each, known in zip(blocks(model), seen(model, symbols), strict=True):
            wanted = given(each, known)
            self._begin(handle, each, known)
            fit_block(each, known.inputs, wanted, self.steps, self.rate)
        return handle

    def _begin(self, handle: Handle, block: Block, known: Seen) -> None:
        torch = transformers_module("torch")
        mass = known.mass(block.count)
        best = mass.argsort(descending=True)[: int(block.router.top_k)]
        gates, ups = block.experts.gate_up_proj.detach()[best].chunk(2, dim=1)
        shares = mass[best] / mass.sum() * known.weights.sum(-1).mean()
        down = torch.cat(list(block.experts.down_proj.detach()[best] * shares[:, None, None]), dim=1)
        block.set(handle, torch.cat([*gates, *ups])[None], down[None])
        handle.hook(block.router, _always)


def _always(_: Any, given: Any, answer: Any) -> Any:
    logits, weights, chosen = answer
    return logits, weights.new_ones(len(weights), 1), chosen.new_zeros(len(chosen), 1)
