"""A generic array of processing elements with a fixed schedule: loops modulo scheduled, memories in banks.

The mapper of `shoal.machines.cgra` finds the interval between iterations, and in which cycle of it each load and store works.
The addresses of every iteration are replayed in these cycles: requests of one cycle to one bank hold up the whole array. What
streams by from outside comes out of queues, as records of messages do, and asks no bank. Stores that the next one overwrites
and loads of what was loaded last are predicated off: they take their slots and ask no bank.

What the mapper cannot express are loops that end on what data tells. Flat bodies need none. For inner ones such an end stands
here by itself: each run of the inner loop is filled and drained, and what the outer loop does between two runs takes its
operations over all processing elements, without routes. Lanes are taken to have equally much to do, and a row that two lanes
share costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.errors import LimitError
from shoal.machines import cgra as arrays
from shoal.machines.nexus._array import MessageArray
from shoal.machines.nexus._lanes import (
    ENTRIES,
    Access,
    Body,
    Fabric,
    Lanes,
    least_cycles,
    nodes_of,
    scheduled,
    unrolled,
)
from shoal.machines.nexus._rival import Rival, Traffic, rival_energy_j
from shoal.machines.nexus._sparse import Ints

LANES = 8  # at most
SHARE = 2  # of the configuration's slots, the part that a loop may take: beyond, searches find hardly anything
VALUE_BITS, QUEUE_BITS = 32, 16

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


@dataclass(frozen=True)
class Mapped(Rival):
    """What a workload takes on a CGRA, and the loop that was the fastest."""

    body: str
    lanes: int
    nodes: int
    resources: int  # cycles between iterations that units and ports ask for
    recurrence: int  # and that cycles of values do
    interval: int  # what the mapper found
    length: int  # cycles of an iteration
    held: float  # share of the loop's cycles in which it waits for banks


def cgra(array: MessageArray, loops: Sequence[Loops], traffic: Traffic, useful: int, times: int = 1, lanes: int = LANES,
         edge: int = 0) -> Mapped:  # fmt: skip
    """The fastest schedule on as many processing elements, banks and words from outside as `array` has.

    Args:
        array: the machine that it is a rival of.
        loops: of which the fastest is taken.
        traffic: what crosses the port.
        useful: operations of the algorithm.
        times: how often the loop runs.
        lanes: that are tried at most.
        edge: columns, from the first on, whose processing elements have a port of the memory; 0: all.

    Raises:
        LimitError: the mapper finds no schedule for any loop.
    """
    fabric = Fabric(array.rows, array.columns, edge or array.columns)
    cycles, schedule, mapping = _fastest(
        [each.schedule(some) for each in loops for some in range(1, lanes + 1)], fabric
    )
    made, asked = unrolled(schedule.body, schedule.lanes), schedule.asked()
    total = traffic.cycles(times * cycles, array.port_words)
    references = sum(int((each >= 0).sum()) for _, each in _requests(made, asked))
    executed, queued = _executed(schedule, made, references)
    products = traffic.products / times
    counts = {
        "product": products, "sum": max(0.0, executed - references - queued - products), "local word": references,
        "hop": VALUE_BITS * (_links(mapping) * schedule.rounds + references * array.columns / 2),
        "fifo": QUEUE_BITS * queued,
    }  # fmt: skip
    counts = {name: times * count for name, count in counts.items()}
    counts |= {"configuration": total * array.places, "outside": traffic.words}
    return Mapped(
        total, useful / total / array.places, min(1.0, times * executed / total / array.places),
        rival_energy_j(array, counts, total), schedule.body.name, schedule.lanes, len(made.graph.nodes),
        *least_cycles(schedule.body, schedule.lanes, fabric), mapping.ii, mapping.length,
        1 - schedule.cycles(mapping.ii, mapping.length, fabric.places) / max(1, cycles),
    )  # fmt: skip


def _fastest(schedules: Sequence[Schedule], fabric: Fabric) -> tuple[int, Schedule, arrays.Mapping]:
    """Schedule by schedule, the most promising first, as long as one may be faster than the best."""
    found: tuple[int, Schedule, arrays.Mapping] | None = None
    bounds = [_bound(each, fabric) for each in schedules]
    for bound, schedule in sorted(zip(bounds, schedules, strict=True), key=lambda pair: pair[0]):
        if bound >= (inf if found is None else found[0]):
            break
        mapping = scheduled(schedule.body, schedule.lanes, fabric)
        if mapping is None:
            continue
        cycles = schedule.cycles(mapping.ii, mapping.length, fabric.places)
        if found is None or cycles < found[0]:
            cycles += held_up(mapping, unrolled(schedule.body, schedule.lanes), schedule, fabric.places)
        if found is None or cycles < found[0]:
            found = cycles, schedule, mapping
    if found is None:
        raise LimitError("no schedule was found", where=f"CGRA, loop '{schedules[0].body.name}'",
                         hint="a larger array")  # fmt: skip
    return found


def _bound(schedule: Schedule, fabric: Fabric) -> float:
    """Cycles that no mapping goes below; infinite for more operations than are tried."""
    if SHARE * nodes_of(schedule.body, schedule.lanes) > ENTRIES * fabric.places:
        return inf
    least = max(least_cycles(schedule.body, schedule.lanes, fabric))
    return schedule.cycles(least, least, fabric.places)


def held_up(mapping: arrays.Mapping, made: Lanes, schedule: Schedule, banks: int) -> int:
    """Cycles in which the array waits for banks that are asked more than once in a cycle."""
    stages = (mapping.length - 1) // mapping.ii
    row = np.arange(schedule.rounds) + stages * np.repeat(np.arange(len(schedule.runs)), schedule.runs)
    cycles = int(row[-1]) + 1 + stages if len(row) else 0
    slots: dict[int, list[Ints]] = {}
    for access, addresses in _requests(made, schedule.asked()):
        stage, slot = divmod(mapping.times[access.node], mapping.ii)
        asked = np.full(cycles, -1)
        asked[row + stage] = addresses
        slots.setdefault(slot, []).append(asked)
    held = 0
    for columns in slots.values():
        asked = np.stack(columns, axis=1)
        key = np.arange(cycles)[:, None] * banks + asked % banks
        met = np.bincount(key[asked >= 0], minlength=cycles * banks).reshape(cycles, banks).max(axis=1)
        held += int(np.maximum(met - 1, 0).sum())
    return held


def _requests(made: Lanes, asked: Asked) -> Iterator[tuple[Access, Ints]]:
    """Of each load and store that asks banks, the address of each round."""
    for each in made.accesses:
        addresses = asked.get(f"{each.op} {each.array}")
        if addresses is not None:
            column = addresses[:, each.lane]
            yield each, np.where(column >= 0, column + each.offset, -1)


def _executed(schedule: Schedule, made: Lanes, references: int) -> tuple[int, int]:
    """Operations that count, and the loads from queues among them."""
    asked, iterations, rounds = schedule.asked(), schedule.iterations, schedule.rounds
    times = [iterations / schedule.lanes if each.node >= made.shared else rounds for each in made.accesses]
    banked = [f"{each.op} {each.array}" in asked for each in made.accesses]
    queued = sum(count for count, bank in zip(times, banked, strict=True) if not bank)
    off = sum(count for count, bank in zip(times, banked, strict=True) if bank) - references
    own = (len(made.graph.nodes) - made.shared) // schedule.lanes
    whole = iterations * own + rounds * made.shared + len(schedule.runs) * schedule.outer
    return round(whole - off), round(queued)


def _links(mapping: arrays.Mapping) -> int:
    """Links that values take in an iteration."""
    points = {point for way in mapping.ways for point in way}
    return sum(mapping.fabric.resources[at].kind == "link" for at, _ in points)


def _taken(addresses: Ints, at: Ints, inside: NDArray[np.bool_]) -> Ints:
    return np.where(inside, addresses[np.minimum(at, len(addresses) - 1)], -1)
