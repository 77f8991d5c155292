"""What a way of binarising is: weights → signs, inputs → signs, and a scale for the sums of their products.

One layer, `BinaryConv2d` or `BinaryLinear`, takes any of them. The sign of 0 is +1 everywhere: 0 as a third value
would not be binary. Scales are never part of the product, which stays one of signs; those computed from weights or
inputs are constants to the gradient. Table of the methods: BiBench, arXiv 2301.11233.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Layer(Protocol):
    """What an algorithm sees of the layer it serves; what it sets on it is trained with the network.

    `__setattr__` and `__getattr__` are torch's: parameters and modules set in `prepare` are found again.
    """

    weight: Any  # (rows, channels, height, width) or (rows, columns)
    training: bool
    progress: float  # of training, 0 to 1

    @property
    def channels(self) -> int:
        """Of the input."""

    @property
    def rows(self) -> int:
        """Channels of the output."""

    @property
    def places(self) -> tuple[int, ...]:
        """Height and width of the output of a convolution; empty for rows of figures."""

    def spread(self, each: Any) -> Any:
        """(channels,) to what broadcasts against inputs or outputs."""

    def across(self, module: Any, x: Any) -> Any:
        """`module`, which works on the last axis, applied to the channels of x."""

    def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None: ...


class Algorithm(Protocol):
    """A technique of `train/binary`; its methods see only the layer they are given."""

    @property
    def each_shortcut(self) -> bool:
        """Whether every convolution gets a way around it, and not only every pair of them."""

    @property
    def rectified(self) -> bool:
        """Whether a shifted PReLU of learned shifts follows each product."""

    @property
    def by_item(self) -> bool:
        """Whether the scale is another for each item, so that no threshold can stand in for it."""

    def prepare(self, layer: Layer) -> None:
        """Set what it learns on the layer; modules that serve training only have names that begin with "training_"."""

    def weights(self, layer: Layer, w: Tensor) -> Tensor:
        """The signs of the weights, with a gradient; while training there may be noise on them."""

    def inputs(self, layer: Layer, x: Tensor) -> Tensor:
        """The signs of the inputs, with a gradient; while training there may be noise on them."""

    def scale(self, layer: Layer, w: Tensor, x: Tensor) -> Tensor | None:
        """What the sums are multiplied with, as it broadcasts against them; None: nothing."""
