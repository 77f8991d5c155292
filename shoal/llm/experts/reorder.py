"""Experts in the order of their load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shoal.llm.experts._blocks import ungrouped
from shoal.llm.experts._handle import Handle
from shoal.llm.experts._seen import seen
from shoal.llm.experts.contract import Settled
from shoal.llm.experts.prune import drop

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64


@dataclass(frozen=True)
class Reorder:
    """The busiest expert first, its row of the router with it: what keeps or places experts by number then does so by load."""

    exact: ClassVar[bool] = True
    settles: ClassVar[tuple[Settled, ...]] = ("their order",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        handle = Handle()
        for each, known in zip(ungrouped(model, "reorder"), seen(model, symbols), strict=True):
            drop(handle, each, known.mass(each.count).argsort(dim=0, descending=True, stable=True).tolist())
        return handle
