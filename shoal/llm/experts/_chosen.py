"""Changing what a router has chosen for each token."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def ranked(weights: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The same choices, (n, chosen) each, the heaviest first."""
    order = weights.argsort(dim=-1, descending=True, stable=True)
    return weights.gather(-1, order), chosen.gather(-1, order)


def struck(weights: Tensor, chosen: Tensor, stays: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Leave the choices that stay; the first takes over the weight of the others.

    Args:
        weights: (n, chosen).
        chosen: (n, chosen).
        stays: (n, chosen) booleans.
        count: of experts; it stands for none.
    """
    left = weights * stays
    left[:, 0] = left[:, 0] + (weights - left).sum(-1)
    return left, chosen.masked_fill(~stays, count)
