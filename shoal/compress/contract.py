"""What a technique of compression is: a layer's weights and what it was seen to do → what is stored of it.

An equaliser comes before: weights and what they were seen to do → scales by channel that leave the network the same; so
does a turner, which rewrites the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shoal.compress.quantisers import contract as quantisers
from shoal.errors import InputError
from shoal.formats import Coded, Format, Matrix

if TYPE_CHECKING:
    import onnx_ir as ir

    from shoal.compress.layers import Layer
    from shoal.graph import Graph

Scales = NDArray[np.float64]  # one for each channel of a tensor


@dataclass(eq=False)
class Seen:
    """Moments of a layer's input over the calibration samples, for each group of a convolution.

    `x` is the input as the float network has it, `xq` as it comes out of the layers that are coded already.
    """

    columns: int
    groups: int = 1
    places: int = 0
    square: NDArray[np.float64] = field(init=False)  # (groups, columns, columns): mean of xq·xqᵀ
    cross: NDArray[np.float64] = field(init=False)  # mean of x·xqᵀ
    largest: NDArray[np.float64] = field(init=False)  # (groups, columns): magnitude of xq
    mean: NDArray[np.float64] = field(init=False)  # (groups, columns), of x
    mean_coded: NDArray[np.float64] = field(init=False)  # of xq

    def __post_init__(self) -> None:
        self.square = np.zeros((self.groups, self.columns, self.columns))
        self.cross = np.zeros_like(self.square)
        self.largest = np.zeros((self.groups, self.columns))
        self.mean = np.zeros((self.groups, self.columns))
        self.mean_coded = np.zeros_like(self.mean)

    def add(self, x: NDArray[np.float32], xq: NDArray[np.float32], layer: str = "") -> None:
        """One item's, both of (groups, places, columns) at the same places; `layer` is told in errors.

        Raises:
            InputError: something is not finite.
        """
        if not (np.isfinite(x).all() and np.isfinite(xq).all()):
            raise InputError("an activation of the calibration samples is not finite", where=layer or None,
                             hint="weights before it may be not finite, or samples out of range")  # fmt: skip
        count = x.shape[1]
        share = count / (self.places + count)
        self.square += (np.einsum("gpi,gpj->gij", xq, xq, optimize=True) / count - self.square) * share
        self.cross += (np.einsum("gpi,gpj->gij", x, xq, optimize=True) / count - self.cross) * share
        self.largest = np.maximum(self.largest, np.abs(xq).max(axis=1))
        self.mean += (x.mean(axis=1, dtype=np.float64) - self.mean) * share
        self.mean_coded += (xq.mean(axis=1, dtype=np.float64) - self.mean_coded) * share
        self.places += count

    def energy(self, matrix: Matrix, group: int) -> float:
        """The mean square of what `matrix`, (rows, columns), makes of `xq`, summed over its rows."""
        return float(np.einsum("ri,ij,rj->", matrix, self.square[group], matrix, optimize=True))

    def shift(self, wanted: Matrix, stored: Matrix, group: int) -> NDArray[np.float64]:
        """How much `wanted` on x gives more than `stored` on xq, in the mean: (rows,)."""
        found: NDArray[np.float64] = wanted @ self.mean[group] - stored @ self.mean_coded[group]
        return found

    def importance(self, group: int) -> NDArray[np.float32]:
        """How much an error in a column counts: the mean square of what it is multiplied with."""
        found: NDArray[np.float32] = np.maximum(np.diagonal(self.square[group]), 0).astype(np.float32)
        return found


@dataclass(frozen=True, eq=False)
class Work:
    """A matrix on its way: the weights as changed so far, and the codes once there are some."""

    weights: Matrix  # (rows, columns) of one group
    coded: Coded | None = None
    wanted: Matrix | None = None  # as the float network has them; none: the weights
    slopes: NDArray[np.float64] | None = (
        None  # (rows, rows): how errors of two outputs count together; none: alone, alike
    )
    note: str = ""  # something to tell of it


class Technique(Protocol):
    """A technique of `compress/techniques`; several are applied one after another, the one that codes last.

    One that codes has the field `format`, the name of what it codes in.
    """

    @property
    def needs_samples(self) -> bool:
        """Whether it looks at activations."""

    def apply(self, work: Work, seen: Seen | None, group: int) -> Work:
        """The next state of a layer's matrix (of one group of a convolution).

        Raises:
            InputError: what it needs is not there, or cannot be solved.
        """


@dataclass(frozen=True, eq=False)
class Reading:
    """A layer among those that read one tensor."""

    weights: Matrix  # (rows, columns), of all groups
    seen: Seen
    channels: NDArray[np.intp]  # (groups, columns): the channel of the tensor that a column multiplies
    form: Format  # what the weights will be coded in

    @property
    def grouped(self) -> NDArray[np.float32]:
        """The weights by group: (groups, rows of one, columns)."""
        return self.weights.reshape(len(self.channels), -1, self.weights.shape[1])

    def by_channel(self, figures: NDArray[np.floating]) -> Scales:
        """The largest figure of each channel, from those of each column: (groups, columns)."""
        found = np.zeros(int(self.channels.max()) + 1)
        np.maximum.at(found, self.channels, figures)
        return found


@runtime_checkable
class Equaliser(Protocol):
    """A technique of `compress/techniques` that is applied before all others, to tensors rather than to layers."""

    @property
    def needs_samples(self) -> bool:
        """Whether it looks at activations."""

    def scales(self, readings: Sequence[Reading]) -> Scales:
        """A positive scale for each channel of a tensor: it will be divided by them, and the columns of the layers that
        read it multiplied.

        Raises:
            InputError: a layer does not fit its format.
        """


@runtime_checkable
class Turner(Protocol):
    """A technique of `compress/techniques` that is applied before those of single layers: it rewrites the network, which
    stays the same but for rounding.
    """

    @property
    def needs_samples(self) -> bool:
        """Whether it looks at activations."""

    def turned(self, graph: Graph, layers: Sequence[Layer]) -> Graph:
        """A graph with the same answers whose layers, under the same names, are easier to code.

        Args:
            graph: stays as it is.
            layers: of it, that are to be coded.

        Raises:
            InputError: it cannot be done, or would change nothing.
        """


class Rounding(quantisers.Rounding, Protocol):
    """In which few values products read a tensor, as ops too."""

    @property
    def told(self) -> str:
        """In words."""

    def nodes(self, model: ir.Model, value: ir.Value) -> Sequence[ir.Node]:
        """New ops that do the same to `value`, not yet among the model's; the last one gives what is left."""


@runtime_checkable
class Rounder(Protocol):
    """A technique of `compress/techniques` that is applied before those of single layers: to what layers read."""

    @property
    def needs_samples(self) -> bool:
        """Whether it looks at activations."""

    def rounding(self, values: Sequence[NDArray[Any]], axis: int, end: bool) -> Rounding:
        """How a tensor is rounded for the products that read it.

        Args:
            values: of each sample, as the layers coded so far make them; finite.
            axis: of the channels, from the end.
            end: the first or the last layer reads it.
        """


@runtime_checkable
class Weigher(Protocol):
    """A technique for single layers that looks at the whole network before: at what errors in a layer's outputs do."""

    def slopes(
        self, graph: Graph, layers: Sequence[Layer], samples: Sequence[Mapping[str, NDArray[Any]]]
    ) -> Mapping[str, NDArray[np.float64]]:
        """By op, (rows, rows): how errors of two outputs count together, for `Work.slopes`.

        Raises:
            MissingExtra: a library that it needs is not installed.
            ModelError: an op has no gradient.
        """
