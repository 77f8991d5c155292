"""Signs with the slopes that stand in for their gradient, which is zero almost everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Slope = Callable[[Tensor], Tensor]


class _Sign(torch.autograd.Function):
    """Forward the sign, backward a slope; exact ±1 in both directions of time, unlike sums of detached parts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Slope) -> Tensor:
        """+1 where x is at least 0, else −1."""
        ctx.save_for_backward(x)
        ctx.slope = slope
        return (x >= 0).to(x.dtype) * 2 - 1

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """The gradient times the slope at x; a new tensor."""
        (x,) = ctx.saved_tensors
        return grads[0] * ctx.slope(x), None


_apply: Any = _Sign.apply  # torch leaves it untyped


def sign(x: Tensor, slope: Slope) -> Tensor:
    """The signs of x, with `slope` for their gradient."""
    found: Tensor = _apply(x, slope)
    return found


def clipped(x: Tensor) -> Tensor:
    """1 where |x| ≤ 1, else 0: the straight-through estimator of BNN."""
    return (x.abs() <= 1).to(x.dtype)


def polynomial(x: Tensor) -> Tensor:
    """2 + 2x on [−1, 0), 2 − 2x on [0, 1), else 0: of Bi-Real Net's approximate sign, and of ReCU's."""
    return (2 - 2 * x.abs()).clamp_min(0)


def straight(x: Tensor) -> Tensor:
    """1 everywhere."""
    return torch.ones_like(x)


def fourier(x: Tensor, terms: int, omega: float) -> Tensor:
    """The derivative of `terms` sines of a square wave, (4ω/π)·Σ cos((2i + 1)ωx), and 0 outside |x| ≤ 1.

    The sum of n such cosines is sin(2nωx) / (2·sin ωx).
    """
    base = (omega * x).sin()
    flat = base.abs() < 1e-6  # there each cosine is 1
    total = torch.where(flat, float(terms), (2 * terms * omega * x).sin() / (2 * base.where(~flat, 1.0)))
    return (4 * omega / math.pi) * total * clipped(x)


def mean_magnitude(w: Tensor) -> Tensor:
    """(rows,): α, the mean of |w| of each output, constant to the gradient."""
    return w.detach().abs().flatten(1).mean(dim=1)
