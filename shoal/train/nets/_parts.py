"""What the small networks are made of. Inside them is a grid of places, each with as many channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shoal.errors import InputError
from shoal.train.binary import Algorithm
from shoal.train.binary._layers import BinaryConv2d, BinaryLinear
from shoal.train.data import Shape

TABLE_SIDE = 4  # of the grid that rows of figures are spread over


def grid_side(task: Shape, wanted: int) -> int:
    """The side of the grid that a task's items become."""
    return TABLE_SIDE if len(task.features) == 1 and not task.symbols else wanted


class Stem(nn.Module):
    """The float layer at the beginning: items to (n, channels, side, side)."""

    def __init__(self, task: Shape, channels: int, side: int) -> None:
        super().__init__()
        self.channels, self.side, self.symbols = channels, side, task.symbols
        self.letters = nn.Embedding(max(1, task.symbols), channels) if task.symbols else None
        self.product = _stem(task, channels, side)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Places of the grid."""
        if self.letters is not None:
            x = self.letters(x).movedim(-1, 1)
        found: Tensor = self.norm(self.product(x).view(len(x), self.channels, self.side, self.side))
        return found


class ChannelNorm(nn.Module):
    """BatchNorm on the last axis, whatever stands before it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        found: Tensor = self.norm(x.reshape(-1, x.shape[-1])).view(x.shape)
        return found


class ShiftedPrelu(nn.Module):
    """RPReLU of ReActNet: a slope for what is below a learned shift, then another shift."""

    def __init__(self, channels: int, places: int) -> None:
        super().__init__()
        shape = (channels, *[1] * places)
        self.before, self.after = (nn.Parameter(torch.zeros(shape)) for _ in range(2))
        self.slope = nn.Parameter(torch.full(shape, 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        moved = x - self.before
        return torch.where(moved > 0, moved, self.slope * moved) + self.after


class Unit(nn.Module):
    """A product, BatchNorm, what follows it, and perhaps a way around all three."""

    def __init__(self, product: nn.Module, norm: nn.Module, after: nn.Module, around: bool) -> None:
        super().__init__()
        self.product, self.norm, self.after, self.around = product, norm, after, around

    def ended(self, y: Tensor) -> Tensor:
        """What becomes of the product's result."""
        found: Tensor = self.after(self.norm(y))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """The unit's output."""
        y = self.ended(self.product(x))
        return x + y if self.around else y


class Pair(nn.Module):
    """Two units, and a way around both unless each has its own."""

    def __init__(self, first: Unit, second: Unit) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of x."""
        y: Tensor = self.second(self.first(x))
        return y if self.second.around else x + y


class Attention(nn.Module):
    """Self-attention with a way around it; its four products are units, the two between activations stay float."""

    def __init__(self, units: list[Unit], heads: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = units
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        """(n, places, channels) as it came."""
        query, key, value = (self._divided(unit(x)) for unit in (self.query, self.key, self.value))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        found: Tensor = x + self.out(mixed.transpose(1, 2).reshape(x.shape))
        return found

    def _divided(self, x: Tensor) -> Tensor:
        return x.view(len(x), x.shape[1], self.heads, -1).transpose(1, 2)


class Tokens(nn.Module):
    """A grid as rows of places, each with a learned figure of its own added: (n, places, channels)."""

    def __init__(self, channels: int, places: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(places, channels) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Rows from a grid."""
        return x.flatten(2).transpose(1, 2) + self.position


class Turned(nn.Module):
    """What mixes channels, on places instead."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        found: Tensor = self.inner(x.transpose(1, 2))
        return found.transpose(1, 2)


class Head(nn.Module):
    """The float layer at the end, on the mean over places."""

    def __init__(self, channels: int, classes: int, grid: bool) -> None:
        super().__init__()
        self.axes = (2, 3) if grid else (1,)
        self.product = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, classes)."""
        found: Tensor = self.product(x.mean(dim=self.axes))
        return found


def conv_unit(algorithm: Algorithm | None, channels: int, side: int, inner: bool) -> Unit:
    """A 3×3 convolution that keeps the channels; `inner`: the first of a pair."""
    product: nn.Module
    if algorithm is None:
        product = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    else:
        product = BinaryConv2d(algorithm, channels, channels, places=(side, side))
    around = algorithm is not None and algorithm.each_shortcut
    return Unit(product, nn.BatchNorm2d(channels), _after(algorithm, channels, 2, inner), around)


def linear_unit(algorithm: Algorithm | None, columns: int, rows: int, inner: bool = False) -> Unit:
    """A product on the last axis."""
    product = nn.Linear(columns, rows, bias=False) if algorithm is None else BinaryLinear(algorithm, columns, rows)
    return Unit(product, ChannelNorm(rows), _after(algorithm, rows, 0, inner), around=False)


def linear_pair(algorithm: Algorithm | None, columns: int, wider: int) -> Pair:
    """Two products, through more columns and back."""
    return Pair(linear_unit(algorithm, columns, wider, inner=True), linear_unit(algorithm, wider, columns))


def _after(algorithm: Algorithm | None, channels: int, places: int, inner: bool) -> nn.Module:
    """A float net has a ReLU inside pairs, where a binary one has the next product's sign."""
    if algorithm is None:
        return nn.ReLU() if inner else nn.Identity()
    return ShiftedPrelu(channels, places) if algorithm.rectified else nn.Identity()


def _stem(task: Shape, channels: int, side: int) -> nn.Module:
    if task.symbols:
        (length,) = task.features
        step = length // side**2
        if step * side**2 != length:
            raise InputError(
                "a text that makes no grid", needed=f"a multiple of {side**2} letters", had=str(length)
            )
        return nn.Conv1d(channels, channels, max(3, step), step, padding=1 if step < 3 else 0, bias=False)
    if len(task.features) == 1:
        return nn.Linear(task.features[0], channels * side**2, bias=False)
    return _picture_stem(task, channels, side)


def _picture_stem(task: Shape, channels: int, side: int) -> nn.Module:
    if len(task.features) != 3 or task.features[1] != task.features[2] or task.features[1] % side:
        raise InputError("pictures that make no grid", needed=f"squares of a multiple of {side} pixels",
                         had=str(task.features))  # fmt: skip
    step = task.features[1] // side
    return nn.Conv2d(task.features[0], channels, max(3, step), step, padding=1 if step < 3 else 0, bias=False)
