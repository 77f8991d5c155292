"""Each expert in as few bits as a tolerated loss allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.llm.experts._blocks import blocks
from shoal.llm.experts._coded import set_coded
from shoal.llm.experts._handle import Handle
from shoal.llm.experts._widths import Expert, Trial, Widths, form, lowered, trial
from shoal.llm.experts.contract import Settled

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64


@dataclass(frozen=True)
class ExpertBits:
    """8, 4 or 2 bits, a scale a channel: the experts whose rounding raises the loss least are lowered first.

    [Yi et al., "EdgeMoE", 2023, section 3.2; there by accuracy, here by loss]
    """

    tolerance: float = 0.05  # rise of the loss, as a share of the loss before
    step: int = 4  # experts lowered before the loss is taken again
    sureness: float = 1.645  # standard errors of the rise, by rows of text, that are added: right 19 times of 20

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = ("how weights are stored",)

    def __post_init__(self) -> None:
        if not self.tolerance >= 0 or self.step < 1 or not self.sureness >= 0:
            raise InputError("a tolerance and a sureness from 0 and a step from 1 are needed", where="expert_bits",
                             had=f"{self.tolerance:g}, {self.sureness:g}, {self.step}")  # fmt: skip

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        handle, widths = Handle(), self.widths(model, symbols)
        for place, each in enumerate(blocks(model)):
            set_coded(handle, each, [form(widths[Expert(place, number)]) for number in range(each.count)])
        return handle

    def widths(self, model: PreTrainedModel, symbols: I64) -> Widths:
        """The bits of each expert; those of the most bits if even they lose too much. Raises like `apply`."""
        with trial(model, symbols) as tried:
            return self.within(tried, tried.sensitivities())

    def within(self, tried: Trial, sensitivities: Mapping[Expert, float]) -> Widths:
        """The last widths before the loss rises too much: on other text than the trial's, as far as its rows tell."""
        most_nats = tried.plain_losses_nats * (1 + self.tolerance)
        steps = lowered(sorted(sensitivities, key=lambda each: sensitivities[each]), self.step)
        kept = next(steps)
        for widths in steps:
            above_nats = tried.losses_nats(widths) - most_nats
            if above_nats.mean() + self.sureness * _standard_error(above_nats) > 0:
                break
            kept = widths
        return kept


def _standard_error(values: NDArray[np.float64]) -> float:
    """Of their mean; one value tells nothing of it."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
