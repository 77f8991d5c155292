"""Neurons of one expert in the order of another's: hidden neurons may change places, the function stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.errors import MissingExtra
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor


def aligned(gate_up: Tensor, down: Tensor, to: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The same expert, each of its neurons where the other has the one most like it.

    Args:
        gate_up: (2 hidden, width).
        down: (width, hidden).
        to: the other's matrices.

    Raises:
        MissingExtra: scipy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as fault:
        raise MissingExtra("scipy", "fit") from fault
    torch = transformers_module("torch")
    hidden = down.shape[1]
    alike = _neurons(*to) @ _neurons(gate_up, down).T
    order = torch.from_numpy(linear_sum_assignment(-alike.numpy())[1])
    return gate_up[torch.cat([order, order + hidden])], down[:, order]


def _neurons(gate_up: Tensor, down: Tensor) -> Tensor:
    """Each neuron's weights, (hidden, 3 width), of length 1."""
    torch = transformers_module("torch")
    rows = torch.cat([*gate_up.chunk(2), down.T], dim=1)
    found: Tensor = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return found
