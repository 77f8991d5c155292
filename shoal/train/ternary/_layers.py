"""The layers in torch. Both roundings pass gradients straight through; master weights stay float32."""

from __future__ import annotations

from zlib import crc32

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6
LARGEST = 127  # code of an activation
TINY = 2.0**-24  # the smallest scale that float16 holds


def passed(x: Tensor, rounded: Tensor) -> Tensor:
    """`rounded`, exactly, with the gradient of x."""
    return rounded.detach() + (x - x.detach())


@torch.no_grad()
def trits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """−1, 0 and 1 for each weight, and their scale: the mean magnitude, as float16 can hold it, for so it is stored."""
    scale = weight.abs().mean().clamp(TINY, 65504).half().float()
    return (weight / scale).round().clamp(-1, 1), scale


@torch.no_grad()
def in_eight_bits(x: Tensor, group: int = 0) -> Tensor:
    """x in whole numbers of −127 to 127, with a scale for each token or for so many columns of it."""
    columns = x.shape[-1]
    width = group if 0 < group < columns else columns
    parts = functional.pad(x, (0, -columns % width)).reshape(*x.shape[:-1], -1, width)
    most = parts.abs().amax(-1, keepdim=True)
    codes = (parts * (LARGEST / most.clamp_min(torch.finfo(x.dtype).tiny))).round()
    found: Tensor = (codes * (most / LARGEST)).flatten(-2)[..., :columns]
    return found


def normal(x: Tensor) -> Tensor:
    """x over its root mean square, token by token."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)


class NormedLinear(nn.Linear):
    """x·Wᵀ in float32, after an RMSNorm of its own where the network has none."""

    def __init__(self, inputs: int, outputs: int, normed: bool = True) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.normed = normed

    def forward(self, x: Tensor) -> Tensor:
        """(…, outputs)."""
        return self.product(normal(x) if self.normed else x)

    def product(self, x: Tensor) -> Tensor:
        """Of what has been normalised."""
        return functional.linear(x, self.weight)


class TernaryLinear(NormedLinear):
    """BitNet b1.58: x̂·Ŵᵀ. It begins with the weights of a `Linear` of the same seed."""

    def __init__(self, inputs: int, outputs: int, normed: bool = True, group: int = 0) -> None:
        super().__init__(inputs, outputs, normed)
        self.group = group

    def product(self, x: Tensor) -> Tensor:
        """See `NormedLinear.product`."""
        codes, scale = trits(self.weight)
        return functional.linear(passed(x, in_eight_bits(x, self.group)), passed(self.weight, codes * scale))


class HybridLinear(TernaryLinear):
    """The same, and g·(x·A)·B beside it, of x as it is. A is random and B zero at first, so it begins as without.

    A is drawn apart from all else: the other weights are those of the network without corrections.
    """

    def __init__(
        self, inputs: int, outputs: int, normed: bool, group: int, rank: int, gate: Constant | OfInput, name: str
    ) -> None:
        super().__init__(inputs, outputs, normed, group)
        source = torch.Generator().manual_seed(torch.initial_seed() % 2**32 ^ crc32(name.encode()))
        self.side_in = nn.Parameter(torch.randn(inputs, rank, generator=source) * rank**-0.5)
        self.side_out = nn.Parameter(torch.zeros(rank, outputs))
        self.gate = gate

    def product(self, x: Tensor) -> Tensor:
        """See `NormedLinear.product`."""
        found: Tensor = super().product(x) + self.gate(x) * (x @ self.side_in @ self.side_out)
        return found


class Constant(nn.Module):
    """g = tanh(θ), one figure or one for each output."""

    def __init__(self, count: int, start: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.full((count,), start))

    def forward(self, x: Tensor) -> Tensor:
        """(count,), whatever x is."""
        return torch.tanh(self.theta)

    def level(self) -> Tensor:
        """The mean magnitude."""
        return torch.tanh(self.theta).abs().mean()

    @torch.no_grad()
    def shut(self) -> None:
        """Let nothing through."""
        self.theta.zero_()


class OfInput(nn.Module):
    """g = σ(w·RMSNorm(x) + b), one figure for each token."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(inputs))
        self.bias = nn.Parameter(torch.full((1,), -2.0))

    def forward(self, x: Tensor) -> Tensor:
        """(…, 1)."""
        return torch.sigmoid(functional.linear(normal(x), self.weight[None], self.bias))

    def level(self) -> Tensor:
        """Of an input that w is at right angles to."""
        return torch.sigmoid(self.bias).mean()

    @torch.no_grad()
    def shut(self) -> None:
        """Let nothing through."""
        self.weight.zero_()
        self.bias.fill_(-torch.inf)
