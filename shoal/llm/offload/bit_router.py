"""The second router: in how many bits a token meets each of its experts. Requests may need more or less.

After "D²MoE", arXiv 2504.15299; both routers are choices. What the model's own router says is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.compress.nested_fit import SERVED
from shoal.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from shoal.store import RoutingTrace

I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
NORMAL = "normal"
CLASSES: Mapping[str, float] = {
    "high": 6.0,
    NORMAL: 4.0,
    "low": 3.0,
}  # mean bits that each class of requests is given


class BitRouter(Protocol):
    """Which bits."""

    @property
    def widths(self) -> tuple[int, ...]:
        """All that it may ask for."""

    def bits(self, place: int, hidden: Tensor, chosen: Tensor, weights: Tensor, classes: Sequence[str]) -> I64:
        """(tokens, k): of each token and each of its experts.

        Args:
            place: of the layer among those with experts.
            hidden: (tokens, width), what the model's router was given.
            chosen: (tokens, k), what it said.
            weights: (tokens, k), how much each counts.
            classes: of each token's request.

        Raises:
            InputError: there is no such class.
        """


@dataclass(frozen=True)
class Even:
    """The same for all."""

    width: int

    @property
    def widths(self) -> tuple[int, ...]:
        """See `BitRouter`."""
        return (self.width,)

    def bits(self, place: int, hidden: Tensor, chosen: Tensor, weights: Tensor, classes: Sequence[str]) -> I64:
        """See `BitRouter`."""
        return np.full(chosen.shape, self.width, np.int64)


@dataclass(frozen=True, eq=False)
class Fixed:
    """Bits of each expert, whatever meets it, as EdgeMoE has them."""

    table: I64  # (layers, experts)

    @property
    def widths(self) -> tuple[int, ...]:
        """See `BitRouter`."""
        return tuple(np.unique(self.table).tolist())

    def bits(self, place: int, hidden: Tensor, chosen: Tensor, weights: Tensor, classes: Sequence[str]) -> I64:
        """See `BitRouter`."""
        found: I64 = self.table[place][chosen.numpy()]
        return found


@dataclass(frozen=True)
class Threshold:
    """Of three widths the middle one from a weight on, the highest from another on; for each layer."""

    widths: tuple[int, int, int]
    limits: tuple[tuple[float, float], ...]

    def bits(self, place: int, weights: F32) -> I64:
        """Of weights of the layer."""
        low, high = self.limits[place]
        found: I64 = np.asarray(self.widths, np.int64)[(weights >= low).astype(int) + (weights >= high)]
        return found


@dataclass(frozen=True)
class ByWeight:
    """What counts for more is met in more bits: thresholds on the model's weights, by class."""

    classes: Mapping[str, Threshold]

    @property
    def widths(self) -> tuple[int, ...]:
        """See `BitRouter`."""
        return tuple(sorted({bits for each in self.classes.values() for bits in each.widths}))

    def bits(self, place: int, hidden: Tensor, chosen: Tensor, weights: Tensor, classes: Sequence[str]) -> I64:
        """See `BitRouter`."""
        given, found = weights.float().numpy(), np.zeros(chosen.shape, np.int64)
        for name, rows in rows_of(classes, self.classes).items():
            found[rows] = self.classes[name].bits(place, given[rows])
        return found


def by_weight(learned: RoutingTrace, targets: Mapping[str, float] = CLASSES) -> ByWeight:
    """Thresholds that give each class its mean bits on routes of other text: quantiles of the weights there.

    Raises:
        InputError: no three widths side by side have such a mean.
    """
    made = {}
    for name, mean_bits in targets.items():
        widths = beside(mean_bits)
        low, middle, _ = shares(mean_bits, widths)
        limits = (
            np.quantile(learned.weights[:, at], (low, min(1.0, low + middle))) for at in range(learned.layers)
        )
        made[name] = Threshold(widths, tuple((float(first), float(second)) for first, second in limits))
    return ByWeight(made)


def beside(mean_bits: float) -> tuple[int, int, int]:
    """The served width next to a mean, and its neighbours.

    Raises:
        InputError: it is beyond the widths there are.
    """
    if not SERVED[0] <= mean_bits <= SERVED[-1]:
        raise InputError("no such mean of bits", needed=f"{SERVED[0]} to {SERVED[-1]}", had=f"{mean_bits:g}")
    at = min(range(1, len(SERVED) - 1), key=lambda each: abs(SERVED[each] - mean_bits))
    return SERVED[at - 1], SERVED[at], SERVED[at + 1]


def shares(mean_bits: float, widths: tuple[int, int, int]) -> tuple[float, float, float]:
    """How many are given each width so that the mean is met: half the middle one, or as near to half as can be."""
    low, middle, high = widths
    most = (high - mean_bits) / (high - middle) if mean_bits > middle else (mean_bits - low) / (middle - low)
    half = min(0.5, most)
    above = (mean_bits - half * middle - (1 - half) * low) / (high - low)
    return 1 - half - above, half, above


def rows_of(classes: Sequence[str], known: Mapping[str, object]) -> dict[str, NDArray[np.intp]]:
    """Which tokens are of each class.

    Raises:
        InputError: one is of none.
    """
    names = np.asarray(classes)
    unknown = set(classes) - set(known)
    if unknown:
        raise InputError(f"no class of requests is called '{min(unknown)}'", needed=", ".join(known))
    return {name: np.flatnonzero(names == name) for name in dict.fromkeys(classes)}
