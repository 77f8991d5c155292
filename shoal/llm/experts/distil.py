"""What fewer experts lose, taught to those that are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from shoal import catalog
from shoal.errors import InputError
from shoal.llm.experts._blocks import blocks
from shoal.llm.experts._fit import fit_block, given
from shoal.llm.experts._handle import Handle
from shoal.llm.experts._seen import seen
from shoal.llm.experts.contract import FAMILY, Settled

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64

BASES = ("prune", "merge")


@dataclass(frozen=True)
class Distil:
    """Another technique, and after it each layer's experts trained to give what all gave, on what that layer is given.

    Layer by layer, with the inputs that the whole model gives it; the router stays. [Hinton et al., "Distilling the
    Knowledge in a Neural Network", 2015]
    """

    base: str = "prune"  # prune or merge, with its defaults
    count: int = 2  # experts of each layer that go
    steps: int = 60  # of training, a layer
    rate: float = 1e-3  # of the first step

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = ("which experts there are",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        found, met = blocks(model), seen(model, symbols)
        wanted = [given(each, known) for each, known in zip(found, met, strict=True)]
        handle: Handle = self._base().apply(model, symbols)
        for each, known, target in zip(found, met, wanted, strict=True):
            fit_block(each, known.inputs, target, self.steps, self.rate)
        return handle

    def _base(self) -> Any:
        if self.base not in BASES:
            raise InputError(f"'{self.base}' leaves no experts to teach", needed=" or ".join(BASES))
        return catalog.build(catalog.find(FAMILY, self.base), self.base, {"count": self.count})
