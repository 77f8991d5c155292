"""What a network is trained on: items with classes, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError


@dataclass(frozen=True)
class Shape:
    """What a network has to know of its task."""

    features: tuple[int, ...]  # of one item: (channels, height, width) of a picture, (n,) of figures or symbols
    classes: int
    symbols: int = 0  # items are rows of so many symbols; 0: of figures


class Items(Protocol):
    """What is learned from, item by item: `x` (n, …) and what the loss compares its outputs with, `y` (n, …)."""

    @property
    def x(self) -> NDArray[Any]:
        """Inputs."""

    @property
    def y(self) -> NDArray[Any]:
        """What is wanted."""


@dataclass(frozen=True, eq=False)
class Data:
    """Items to learn from and others to test with.

    Args:
        x: (n, *features), float32, or int64 for symbols.
        y: (n,), int64 from 0 up to the classes.
        test_x: like x.
        test_y: like y.
        classes: how many.
        symbols: see `Shape`.

    Raises:
        InputError: shapes that do not fit, values that are not finite, or a class or symbol out of range.
    """

    x: NDArray[Any]
    y: NDArray[np.int64]
    test_x: NDArray[Any]
    test_y: NDArray[np.int64]
    classes: int
    symbols: int = 0

    def __post_init__(self) -> None:
        for x, y, what in ((self.x, self.y, "training"), (self.test_x, self.test_y, "test")):
            _check(x, y, self, what)
        if self.x.shape[1:] != self.test_x.shape[1:]:
            raise InputError("training and test items differ in shape",
                             had=f"{self.x.shape[1:]} and {self.test_x.shape[1:]}")  # fmt: skip

    @cached_property
    def shape(self) -> Shape:
        """What a network has to know."""
        return Shape(self.x.shape[1:], self.classes, self.symbols)


def drawn(x: NDArray[Any], y: NDArray[np.int64], classes: int, test_share: float = 0.25) -> Data:
    """Items divided into training and test ones at random, always in the same way, and standardised."""
    order = np.random.default_rng(0).permutation(len(x))
    cut = round(len(x) * test_share)
    test, train = order[:cut], order[cut:]
    return standardised(x[train], y[train], x[test], y[test], classes)


def standardised(
    x: NDArray[Any], y: NDArray[np.int64], test_x: NDArray[Any], test_y: NDArray[np.int64], classes: int
) -> Data:
    """Figures centred and scaled by the training items' mean and deviation: of each in rows, of all in pictures."""
    axes = 0 if x.ndim == 2 else None
    mean, deviation = x.mean(axis=axes), np.maximum(x.std(axis=axes), 1e-6)
    scaled = [((each - mean) / deviation).astype(np.float32) for each in (x, test_x)]
    return Data(scaled[0], y, scaled[1], test_y, classes)


def _check(x: NDArray[Any], y: NDArray[np.int64], data: Data, what: str) -> None:
    if x.ndim < 2 or y.shape != (len(x),) or not len(x):
        raise InputError(f"{what} items and classes do not fit", needed="(n, …) and (n,), n at least 1",
                         had=f"{x.shape} and {y.shape}")  # fmt: skip
    if y.min() < 0 or y.max() >= data.classes:
        raise InputError(f"a {what} item of a class that is not there", needed=f"0 to {data.classes - 1}",
                         had=f"{y.min()} to {y.max()}")  # fmt: skip
    if data.symbols:
        if x.dtype != np.int64 or x.min() < 0 or x.max() >= data.symbols:
            raise InputError(f"a {what} item with a symbol that is not there",
                             needed=f"int64 from 0 to {data.symbols - 1}")  # fmt: skip
    elif x.dtype != np.float32 or not np.isfinite(x).all():
        raise InputError(f"{what} items are finite float32", had=str(x.dtype))
