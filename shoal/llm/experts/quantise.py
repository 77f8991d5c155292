"""Experts in few bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shoal.llm.experts._blocks import blocks
from shoal.llm.experts._coded import set_coded
from shoal.llm.experts._handle import Handle
from shoal.llm.experts.contract import Settled

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64


@dataclass(frozen=True)
class Quantise:
    """Every matrix of every expert in one format of `shoal.formats`, each value rounded to the nearest."""

    format: str = "int4g32"  # its name

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = ("how weights are stored",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        handle = Handle()
        for each in blocks(model):
            set_coded(handle, each, [self.format] * each.count)
        return handle
