"""The one binary operator: a product of signs, then a scale."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from shoal.errors import InputError
from shoal.train.binary.contract import Algorithm

BORDER = -1.0  # what convolutions are padded with, here as in the packed form


class _Binary(nn.Module):
    """What both kinds have in common; see `Layer`."""

    def __init__(self, algorithm: Algorithm, shape: tuple[int, ...], places: tuple[int, ...]) -> None:
        super().__init__()
        if min(shape) < 1:
            raise InputError("a layer of nothing", had=str(shape))
        self.algorithm, self.places, self.progress = algorithm, places, 0.0
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.xavier_normal_(self.weight)
        algorithm.prepare(self)

    @property
    def rows(self) -> int:
        """Channels of the output."""
        return self.weight.shape[0]

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self.weight.shape[1]

    def spread(self, each: Any) -> Any:
        """(channels,) to (channels, 1, 1) in a convolution."""
        return each.view(-1, *[1] * (self.weight.ndim - 2))

    def across(self, module: Any, x: Any) -> Any:
        """`module` on the channels: the last axis, in a convolution the second."""
        return module(x.movedim(1, -1)).movedim(-1, 1) if self.weight.ndim == 4 else module(x)

    def signs(self) -> Tensor:
        """Of the weights."""
        return self.algorithm.weights(self, self.weight)

    def scaled(self, sums: Tensor, x: Tensor) -> Tensor:
        """The sums times the scale of the inputs x."""
        scale = self.algorithm.scale(self, self.weight, x)
        return sums if scale is None else sums * scale

    def sums(self, x: Tensor) -> Tensor:
        """Of products of signs, before any scale: whole numbers, in evaluation mode."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The product."""
        return self.scaled(self.sums(x), x)


class BinaryConv2d(_Binary):
    """A convolution of signs, (items, channels, height, width); the border is −1."""

    def __init__(
        self,
        algorithm: Algorithm,
        channels: int,
        rows: int,
        kernel: int = 3,
        stride: int = 1,
        pad: int = 1,
        places: tuple[int, int] = (1, 1),
        groups: int = 1,
    ) -> None:
        """A layer.

        Args:
            algorithm: how signs are come by.
            channels: of the input.
            rows: channels of the output.
            kernel: its height and width.
            stride: step of the places.
            pad: places added at each side.
            places: height and width of the output, which some scales depend on.
            groups: 1.

        Raises:
            InputError: several groups: no algorithm here has a scale for them.
        """
        if groups != 1:
            raise InputError("no binary convolution in groups", needed="1", had=str(groups))
        self.kernel, self.stride, self.pad = kernel, stride, pad
        super().__init__(algorithm, (rows, channels, kernel, kernel), places)

    def sums(self, x: Tensor) -> Tensor:
        """See `_Binary.sums`."""
        signs = self.algorithm.inputs(self, x)
        if self.pad:
            signs = nn.functional.pad(signs, (self.pad,) * 4, value=BORDER)
        return nn.functional.conv2d(signs, self.signs(), stride=self.stride)


class BinaryLinear(_Binary):
    """A product of signs on the last axis, (…, columns) to (…, rows)."""

    def __init__(self, algorithm: Algorithm, columns: int, rows: int) -> None:
        super().__init__(algorithm, (rows, columns), ())

    def sums(self, x: Tensor) -> Tensor:
        """See `_Binary.sums`."""
        return nn.functional.linear(self.algorithm.inputs(self, x), self.signs())
