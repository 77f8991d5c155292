"""Nested loops as a CGRA may run them: flat or the inner loop alone, in lanes, with the addresses of every round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.machines.nexus._lanes import Body
from shoal.machines.nexus._sparse import Ints

Asked = Mapping[str, Ints]  # by "load a" or "store a": addresses in words, -1 where predicated off


@dataclass(frozen=True, eq=False)
class Schedule:
    """A loop in lanes, for the array to run."""

    body: Body
    lanes: int
    runs: Ints  # rounds of all lanes in lockstep, each time that the pipeline is filled and drained
    outer: int  # operations before each of them
    iterations: int  # of all lanes together
    asked: Callable[[], Asked]  # of shape (rounds, lanes)

    @property
    def rounds(self) -> int:
        """Of all lanes in lockstep."""
        return int(self.runs.sum())

    def cycles(self, interval: int, length: int, places: int) -> int:
        """Without conflicts, with iterations of `length` cycles that begin every `interval`."""
        entered = int(np.count_nonzero(self.runs))
        return self.rounds * interval + entered * (length - interval) + len(self.runs) * ceil(self.outer / places)


class Loops(Protocol):
    """Nested loops that a CGRA can run."""

    def schedule(self, lanes: int) -> Schedule:
        """In so many lanes."""


@dataclass(frozen=True, eq=False)
class Flat:
    """Nested loops as one; each lane runs a part of it."""

    body: Body
    addresses: Asked  # of each iteration
    iterations: int
    starts: int = 1  # how often it is entered

    def schedule(self, lanes: int) -> Schedule:
        """See `Loops.schedule`."""
        rounds = ceil(self.iterations / lanes)
        runs = rounds // self.starts + (np.arange(self.starts) < rounds % self.starts)

        def asked() -> Asked:
            at = np.arange(lanes)[None] * rounds + np.arange(rounds)[:, None]
            return {key: _taken(each, at, at < self.iterations) for key, each in self.addresses.items()}

        return Schedule(self.body, lanes, runs, 0, self.iterations, asked)


@dataclass(frozen=True, eq=False)
class Inner:
    """The inner loop alone; lanes are neighbours of one run of it."""

    body: Body
    addresses: Asked  # of each iteration
    lengths: Ints  # iterations of each run
    outer: int  # operations of the outer loop
    sums: bool  # has each lane a sum of its own, to be added after the run

    def schedule(self, lanes: int) -> Schedule:
        """See `Loops.schedule`."""
        runs = -(-self.lengths // lanes)

        def asked() -> Asked:
            of = np.repeat(np.arange(len(runs)), runs)
            place = (np.arange(len(of)) - (np.cumsum(runs) - runs)[of])[:, None] * lanes + np.arange(lanes)[None]
            at = (np.cumsum(self.lengths) - self.lengths)[of][:, None] + place
            return {
                key: _taken(each, at, place < self.lengths[of][:, None]) for key, each in self.addresses.items()
            }

        outer = self.outer + (lanes - 1 if self.sums else 0)
        return Schedule(self.body, lanes, runs, outer, int(self.lengths.sum()), asked)


@dataclass(frozen=True, eq=False)
class Slices:
    """The inner loop for as many rows at a time as there are lanes; rows of about equal length go together.

    After SELL-C-σ [Kreutzer et al., SIAM J. Sci. Comput. 36(5), 2014]; shorter rows of a slice wait for its longest.
    """

    body: Body
    addresses: Asked  # of each iteration
    lengths: Ints  # of each row
    outer: int  # operations of the outer loop, for each row

    def schedule(self, lanes: int) -> Schedule:
        """See `Loops.schedule`."""
        rows = np.flatnonzero(self.lengths)
        rows = np.pad(
            rows[np.argsort(-self.lengths[rows], kind="stable")], (0, -len(rows) % lanes), constant_values=-1
        )
        slices = rows.reshape(-1, lanes)
        lengths = np.where(slices >= 0, self.lengths[slices], 0)
        runs = lengths.max(axis=1, initial=0)

        def asked() -> Asked:
            of = np.repeat(np.arange(len(runs)), runs)
            step = (np.arange(len(of)) - (np.cumsum(runs) - runs)[of])[:, None]
            at = (np.cumsum(self.lengths) - self.lengths)[slices][of] + step
            return {key: _taken(each, at, step < lengths[of]) for key, each in self.addresses.items()}

        return Schedule(self.body, lanes, runs, self.outer * lanes, int(self.lengths.sum()), asked)


@dataclass(frozen=True, eq=False)
class Columns:
    """C = A·B with a dense B: of each row of C so many columns as there are lanes, over A's non-zeros."""

    body: Body
    lengths: Ints  # non-zeros of each row of A
    inner: Ints  # the row of B of each non-zero
    width: int  # columns of B
    flat: bool  # are rows one after another one loop

    def schedule(self, lanes: int) -> Schedule:
        """See `Loops.schedule`; more lanes than columns stand still."""
        groups = ceil(self.width / lanes)
        runs = np.repeat(self.lengths, groups)

        def asked() -> Asked:
            run = np.repeat(np.arange(len(runs)), runs)
            first = np.cumsum(self.lengths) - self.lengths
            at = first[run // groups] + np.arange(len(run)) - (np.cumsum(runs) - runs)[run]
            column = (run % groups)[:, None] * lanes + np.arange(lanes)[None]
            last = np.zeros(len(run), bool)
            last[np.cumsum(runs)[runs > 0] - 1] = True
            c = self.width * (1 + int(self.inner.max(initial=0))) + (run // groups)[:, None] * self.width + column
            return {"load x": np.where(column < self.width, self.inner[at][:, None] * self.width + column, -1),
                    "store y": np.where(last[:, None] & (column < self.width), c, -1)}  # fmt: skip

        total, iterations = int(runs.sum()), int(self.lengths.sum()) * self.width
        if self.flat:
            return Schedule(self.body, lanes, np.array([total]), 0, iterations, asked)
        return Schedule(self.body, lanes, runs, lanes + 2, iterations, asked)


def _taken(addresses: Ints, at: Ints, inside: NDArray[np.bool_]) -> Ints:
    return np.where(inside, addresses[np.minimum(at, len(addresses) - 1)], -1)
