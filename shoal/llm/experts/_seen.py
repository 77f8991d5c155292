"""What experts are given and chosen for on some text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.llm.experts._blocks import Block, blocks
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor, nn

    from shoal.llm.experts.contract import I64

BATCH = 16


@dataclass(frozen=True, eq=False)
class Seen:
    """Of one layer, n tokens in order."""

    inputs: Tensor  # (n, width)
    logits: Tensor  # (n, count) of the router
    weights: Tensor  # (n, chosen)
    chosen: Tensor  # (n, chosen) which; as many as there are experts: none

    def mass(self, count: int) -> Tensor:
        """The weight that is routed to each expert, (count,)."""
        found = self.weights.new_zeros(count + 1)
        return found.index_add(0, self.chosen.flatten(), self.weights.flatten())[:count]


def seen(model: nn.Module, symbols: I64) -> list[Seen]:
    """What every block meets when the model reads (n, places) symbols."""
    torch = transformers_module("torch")
    with _listening(blocks(model)) as ears, torch.no_grad():
        for at in range(0, len(symbols), BATCH):
            model(torch.from_numpy(symbols[at : at + BATCH]), use_cache=False)
    return [Seen(*map(torch.cat, zip(*each.heard, strict=True))) for each in ears]


class _Ear:
    """What one block was given, batch by batch."""

    def __init__(self) -> None:
        self.heard: list[tuple[Tensor, ...]] = []
        self._logits: Tensor | None = None

    def router(self, _: Any, given: Any, answer: Any) -> None:
        self._logits = answer[0].clone()

    def experts(self, _: Any, given: Any, answer: Any) -> None:
        inputs, chosen, weights = given
        assert self._logits is not None
        self.heard.append((inputs.clone(), self._logits, weights.clone(), chosen.clone()))


@contextmanager
def _listening(found: list[Block]) -> Iterator[list[_Ear]]:
    ears = [_Ear() for _ in found]
    hooks = [each.router.register_forward_hook(ear.router) for each, ear in zip(found, ears, strict=True)]
    hooks += [each.experts.register_forward_hook(ear.experts) for each, ear in zip(found, ears, strict=True)]
    try:
        yield ears
    finally:
        for hook in hooks:
            hook.remove()
