"""Experts trained until their layer gives what it gave before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.llm.experts._blocks import MATRICES
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor

    from shoal.llm.experts._blocks import Block
    from shoal.llm.experts._seen import Seen

BATCH = 256  # tokens a step


def given(block: Block, known: Seen) -> Tensor:
    """What the layer's experts give for what they have seen, (n, width)."""
    torch = transformers_module("torch")
    with torch.no_grad():
        found: Tensor = block.experts(known.inputs, known.chosen, known.weights)
    return found


def fit_block(block: Block, x: Tensor, wanted: Tensor, steps: int, rate: float) -> None:
    """Train the experts' matrices in place; the router stays.

    Args:
        block: whose matrices are nobody else's.
        x: (n, width) inputs.
        wanted: (n, width) what they should give.
        steps: of Adam.
        rate: of the first step; it falls to 0.
    """
    torch = transformers_module("torch")
    matrices = [getattr(block.experts, name).requires_grad_(True) for name in MATRICES]
    optimiser, source = torch.optim.Adam(matrices, lr=rate), torch.Generator().manual_seed(block.layer)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        some = torch.randint(len(x), (min(BATCH, len(x)),), generator=source)
        with torch.no_grad():
            _, weights, chosen = block.router(x[some])
        loss = (block.experts(x[some], chosen, weights) - wanted[some]).square().mean()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    for each in matrices:
        each.requires_grad_(False)
        each.grad = None
