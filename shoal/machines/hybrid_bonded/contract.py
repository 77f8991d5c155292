"""What the machine is asked: heads that read pages, where the pages lie; and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.machines._mesh import Link
from shoal.machines._steps import Counts

Pages = NDArray[np.int64]
Name = TypeVar("Name")
NUMBER_BYTES = 4  # of scores and partial results, which are float32


@dataclass(frozen=True)
class HeadShape:
    """One head of keys and values, the queries that share it, and its pages.

    Raises:
        InputError: a size below one.
    """

    head: int  # width
    queries: int = 1  # heads of queries that share it
    page: int = 16  # tokens of one
    value_bytes: int = 2

    def __post_init__(self) -> None:
        for name in ("head", "queries", "page", "value_bytes"):
            if getattr(self, name) < 1:
                raise InputError(f"a head with {name} {getattr(self, name)}", needed="at least 1")

    @property
    def page_bytes(self) -> int:
        """Keys and values of a page."""
        return self.page * 2 * self.head * self.value_bytes

    @property
    def bounds_bytes(self) -> int:
        """The least and the greatest value of each column of a page's keys."""
        return 2 * self.head * self.value_bytes

    @property
    def query_bytes(self) -> int:
        """The queries."""
        return self.queries * self.head * self.value_bytes

    @property
    def partial_bytes(self) -> int:
        """What attention over some of the tokens gives: a maximum, a sum and a vector for each query."""
        return self.queries * (self.head + 2) * NUMBER_BYTES


@dataclass(frozen=True, eq=False)
class Reading:
    """The pages that one head reads in one step.

    Raises:
        InputError: pages that are not stored, or none.
    """

    stored: int  # pages
    chosen: Pages  # indices of those that are read, ascending
    scored: bool = False  # chosen by the bounds of all pages' keys, which are read first

    def __post_init__(self) -> None:
        if not len(self.chosen) or not 0 <= self.chosen.min() <= self.chosen.max() < self.stored:
            raise InputError(
                "a head that reads no page, or pages that it has not", needed=f"1 to {self.stored} pages"
            )

    def bytes(self, shape: HeadShape) -> int:
        """What is read from DRAM."""
        return len(self.chosen) * shape.page_bytes + self.stored * shape.bounds_bytes * self.scored

    def held_bytes(self, shape: HeadShape) -> int:
        """What is stored."""
        return self.stored * (shape.page_bytes + shape.bounds_bytes * self.scored)


@dataclass(frozen=True, eq=False)
class Laid:
    """Where the pages of one head lie."""

    home: int  # the tile that has the queries, and where the result is wanted
    owners: Pages  # the tile of each stored page
    travels: bool = False  # pages go home to be computed on, instead of queries to the pages


@dataclass(frozen=True)
class Ran:
    """What the machine took."""

    seconds: float
    counts: Counts  # events: "dram", "sram" (bytes), "noc" (bytes times hops), "mac", "vector", "row" (misses)
    energy_j: Mapping[str, float]  # by event, and "static"
    busy_s: tuple[float, ...]  # of each tile
    links_s: Mapping[Link, float]  # of each link that was used

    @property
    def joules(self) -> float:
        """All of it."""
        return sum(self.energy_j.values())

    @property
    def load(self) -> float:
        """The busiest tile over the mean of all."""
        mean = sum(self.busy_s) / len(self.busy_s)
        return max(self.busy_s) / mean if mean else 1.0


def together(runs: Iterable[Ran]) -> Ran:
    """One after another.

    Raises:
        InputError: there is none.
    """
    every = tuple(runs)
    if not every:
        raise InputError("nothing that ran")
    busy_s = tuple(map(sum, zip(*(run.busy_s for run in every), strict=True)))
    return Ran(sum(run.seconds for run in every), _sum(run.counts for run in every),
               _sum(run.energy_j for run in every), busy_s, _sum(run.links_s for run in every))  # fmt: skip


def _sum(some: Iterable[Mapping[Name, float]]) -> dict[Name, float]:
    found: dict[Name, float] = {}
    for each in some:
        for name, value in each.items():
            found[name] = found.get(name, 0.0) + value
    return found
