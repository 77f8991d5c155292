"""Busy experts in more bits than idle ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shoal.errors import InputError
from shoal.llm.experts._blocks import blocks
from shoal.llm.experts._coded import set_coded
from shoal.llm.experts._handle import Handle
from shoal.llm.experts._seen import seen
from shoal.llm.experts.contract import Settled

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64


@dataclass(frozen=True)
class MixedBits:
    """The experts of each layer with most weight routed to them in a fine format, the others in a coarse one."""

    fine: str = "int5g32"  # name of a format
    coarse: str = "int3g32"  # name of a format
    share: float = 0.5  # of the experts, that are fine

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = ("how weights are stored",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        if not 0 <= self.share <= 1:
            raise InputError("a share from 0 to 1 is needed", where="mixed_bits", had=f"{self.share:g}")
        handle = Handle()
        for each, known in zip(blocks(model), seen(model, symbols), strict=True):
            order = known.mass(each.count).argsort(descending=True)
            busy = set(order[: round(self.share * each.count)].tolist())
            set_coded(handle, each, [self.fine if at in busy else self.coarse for at in range(each.count)])
        return handle
