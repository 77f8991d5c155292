"""Experts whose neurons stand in one order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shoal.llm.experts._aligned import aligned
from shoal.llm.experts._blocks import blocks
from shoal.llm.experts._handle import Handle
from shoal.llm.experts.contract import Settled
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64


@dataclass(frozen=True)
class Align:
    """Neurons of every expert in the order of the first one's: nothing changes but what is merged or shared later.

    [Ainsworth et al., "Git Re-Basin", 2023]
    """

    exact: ClassVar[bool] = True
    settles: ClassVar[tuple[Settled, ...]] = ("their order",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        torch, handle = transformers_module("torch"), Handle()
        for each in blocks(model):
            pairs = list(zip(each.experts.gate_up_proj.detach(), each.experts.down_proj.detach(), strict=True))
            found = [pairs[0], *(aligned(*pair, pairs[0]) for pair in pairs[1:])]
            each.set(handle, *(torch.stack(part) for part in zip(*found, strict=True)))
        return handle
