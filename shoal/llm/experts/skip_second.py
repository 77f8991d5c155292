"""One expert where the second hardly counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from shoal.errors import InputError
from shoal.llm.experts._blocks import blocks
from shoal.llm.experts._chosen import ranked, struck
from shoal.llm.experts._handle import Handle
from shoal.llm.experts._seen import Seen, seen
from shoal.llm.experts.contract import Settled

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.experts.contract import I64


@dataclass(frozen=True)
class SkipSecond:
    """A token goes through its first expert alone where the second's weight is below β of the first's.

    β of each layer is such that a share of the calibration's tokens skip; the first takes over the second's weight. Of
    more than two chosen the ones behind the second stay. [Lu et al., "Not All Experts are Equal", 2024]
    """

    share: float = 0.5  # of calibration tokens that skip; one half: β is the median

    exact: ClassVar[bool] = False
    settles: ClassVar[tuple[Settled, ...]] = ("how many a token meets",)

    def apply(self, model: PreTrainedModel, symbols: I64) -> Handle:
        """See `Technique`."""
        if not 0 <= self.share <= 1:
            raise InputError("a share from 0 to 1 is needed", where="skip_second", had=f"{self.share:g}")
        found, handle = blocks(model), Handle()
        if any(int(each.router.top_k) < 2 for each in found):
            raise InputError("there is no second expert to skip", where="skip_second")
        met = seen(model, symbols)
        handle.loops(model)
        for each, known in zip(found, met, strict=True):
            handle.hook(each.router, self._skipping(self._limit(known), each.count))
        return handle

    def _limit(self, known: Seen) -> float:
        weights, _ = ranked(known.weights, known.chosen)
        return float((weights[:, 1] / weights[:, 0]).quantile(self.share))

    def _skipping(self, limit: float, count: int) -> Any:
        def skipped(_: Any, given: Any, answer: Any) -> Any:
            logits, weights, chosen = answer
            weights, chosen = ranked(weights, chosen)
            stays = weights.new_ones(weights.shape).bool()
            stays[:, 1] = weights[:, 1] >= limit * weights[:, 0]
            return logits, *struck(weights, chosen, stays, count)

        return skipped
