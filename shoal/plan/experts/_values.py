"""What experts are placed on, and where they are placed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.errors import InputError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class ExpertShape:
    """The sizes of an expert, all of which are alike."""

    token_bytes: int  # of a token on its way to an expert, and back
    weight_bytes: int
    flop: float  # of one token

    @classmethod
    def gated(cls, width: int, hidden: int, value_bytes: int = 2) -> ExpertShape:
        """Three matrices: gate, up and down."""
        return cls(width * value_bytes, 3 * width * hidden * value_bytes, 6.0 * width * hidden)


@dataclass(frozen=True)
class Curve:
    """Seconds of one expert by its tokens: straight between the points, level before the first of them.

    A device reads an expert's weights for one token as for many, so that few tokens take as long as one.
    """

    tokens: tuple[float, ...]
    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(one < other for one, other in pairwise(self.tokens))
        if len(self.tokens) < 2 or len(self.tokens) != len(self.seconds) or not rising or min(self.tokens) <= 0:
            raise InputError(
                "no curve", needed="two points at least, of more and more tokens", had=str(self.tokens)
            )
        if min(self.seconds) <= 0 or any(one > other for one, other in pairwise(self.seconds)):
            raise InputError("no curve", needed="seconds above 0 that do not fall", had=str(self.seconds))

    @classmethod
    def roofline(cls, shape: ExpertShape, flop_per_s: float, bytes_per_s: float) -> Curve:
        """Weights read or products made, whichever takes longer."""
        read_s, token_s = shape.weight_bytes / bytes_per_s, shape.flop / flop_per_s
        knee = read_s / token_s
        return cls((knee, 2 * knee), (read_s, 2 * read_s))

    def slower(self, speed: float) -> Curve:
        """Of a device that has so much of this one's speed."""
        return Curve(self.tokens, tuple(each / speed for each in self.seconds))

    def __call__(self, tokens: ArrayLike) -> F64:
        """Seconds; none of no tokens."""
        given = np.asarray(tokens, np.float64)
        slope = (self.seconds[-1] - self.seconds[-2]) / (self.tokens[-1] - self.tokens[-2])
        beyond = np.maximum(given - self.tokens[-1], 0.0) * slope
        found: F64 = np.where(given > 0, np.interp(given, self.tokens, self.seconds) + beyond, 0.0)
        return found


@dataclass(frozen=True)
class Host:
    """A device that holds experts."""

    name: str
    curve: Curve
    slots_bytes: int  # for experts


@dataclass(frozen=True)
class Wire:
    """What carries bytes one after another: a direction of a link, a device's port, a shared medium."""

    name: str
    bytes_per_s: float
    latency_s: float = 0.0


@dataclass(frozen=True)
class ExpertFleet:
    """Hosts, and the wires that tokens take between each two of them."""

    hosts: tuple[Host, ...]
    wires: tuple[Wire, ...]
    ways: tuple[tuple[tuple[int, ...], ...], ...]  # [from][to]: numbers of wires, all of them in use at once

    def slots(self, shape: ExpertShape) -> tuple[int, ...]:
        """How many experts of all layers each host has room for."""
        return tuple(host.slots_bytes // shape.weight_bytes for host in self.hosts)

    @cached_property
    def passing(self) -> F64:
        """(wires, hosts²): 1 where what goes from one host to another, `from · hosts + to`, takes a wire."""
        count = len(self.hosts)
        found = np.zeros((len(self.wires), count * count))
        for start, end in product(range(count), repeat=2):
            found[list(self.ways[start][end]), start * count + end] = 1
        return found

    @cached_property
    def orbits(self) -> tuple[int, ...]:
        """Of each host the first one that it can change places with, all others moving along or staying."""
        count = len(self.hosts)
        first = list(range(count))
        for order in filter(self._unchanged, _orders(count)):
            for one, other in enumerate(order):
                low, high = sorted((first[one], first[other]))
                first = [low if each == high else each for each in first]
        return tuple(first)

    def _unchanged(self, order: Sequence[int]) -> bool:
        """Whether the fleet is the same with its hosts in this order."""
        here = [(host.curve, host.slots_bytes) for host in self.hosts]
        if any(here[other] != each for each, other in zip(here, order, strict=True)):
            return False
        renamed: dict[int, int] = {}
        for start, end in product(range(len(order)), repeat=2):
            way, image = self.ways[start][end], self.ways[order[start]][order[end]]
            if len(way) != len(image) or any(
                renamed.setdefault(one, other) != other or not _like(self.wires[one], self.wires[other])
                for one, other in zip(way, image, strict=True)
            ):
                return False
        return len(set(renamed.values())) == len(renamed)


def _orders(count: int) -> Iterator[list[int]]:
    """Two hosts exchanged, or all moved on."""
    every = list(range(count))
    for one, other in combinations(every, 2):
        order = every.copy()
        order[one], order[other] = other, one
        yield order
    for by in every[1:]:
        yield every[by:] + every[:by]


def _like(one: Wire, other: Wire) -> bool:
    return (one.bytes_per_s, one.latency_s) == (other.bytes_per_s, other.latency_s)


@dataclass(frozen=True)
class ExpertPlacement:
    """The host of each expert, by layer. Which experts a token goes to is not touched: answers stay as they are."""

    hosts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, array: I64) -> ExpertPlacement:
        """From (layers, experts)."""
        return cls(tuple(map(tuple, array.tolist())))

    @property
    def array(self) -> I64:
        """(layers, experts)."""
        return np.array(self.hosts, np.int64)

    def held(self, count: int) -> I64:
        """How many experts each of `count` hosts holds."""
        return np.bincount(self.array.ravel(), minlength=count)
