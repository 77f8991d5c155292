"""What a model with experts takes and reaches."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shoal.llm.experts._blocks import blocks
from shoal.llm.experts._seen import seen
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import nn

    from shoal.train.language import Stretches


@dataclass(frozen=True)
class Figures:
    """On some text."""

    loss_nats: float  # a symbol
    resident_bytes: float  # of all experts
    products: float  # experts that a token goes through, all layers together
    macs: float  # a token's multiply-accumulates in them
    moved_bytes: float  # of experts that a token alone has to read
    tokens_per_s: float  # reading the text whole

    @property
    def perplexity(self) -> float:
        """A symbol."""
        return float(np.exp(self.loss_nats))


def judged(model: nn.Module, text: Stretches) -> Figures:
    """Loss, bytes and work on the text; products are counted where experts are handed their tokens."""
    torch = transformers_module("torch")
    products = macs = moved = 0.0
    for each, met in zip(blocks(model), seen(model, text.x), strict=True):
        mean = float((met.chosen < each.count).sum()) / len(met.chosen)
        products += mean
        macs += mean * sum(getattr(each.experts, name)[0].numel() for name in ("gate_up_proj", "down_proj"))
        moved += mean * each.bits / each.count / 8
    resident = sum(each.bits for each in blocks(model)) / 8
    x, y = torch.from_numpy(text.x), torch.from_numpy(text.y)
    begun = time.perf_counter()
    with torch.no_grad():
        logits = model(x, use_cache=False).logits
    took = time.perf_counter() - begun
    loss = float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten()))
    return Figures(loss, resident, products, macs, moved, x.numel() / took)
