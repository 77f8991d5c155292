"""A generic array of processing elements with a fixed schedule: loops modulo scheduled, memories in banks at one edge.

The interval between iterations is the least that slots, banks and chains of dependent operations allow; routes are taken to
exist, so it is a lower limit of what a mapper finds. Predicated operations take their slots whether they count or not. The
addresses of every iteration are replayed: requests of one cycle to one bank hold up the whole array.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.machines.nexus._array import MessageArray
from shoal.machines.nexus._rival import Rival, Traffic, rival_energy_j
from shoal.machines.nexus._sparse import Ints

FILL = 8  # cycles from the first load of an iteration to its last operation, without contention
ENTRIES = 16  # of the configuration: no longer interval
LANES = 16  # at most


@dataclass(frozen=True, eq=False)
class Schedule:
    """A loop as the array runs it."""

    slots: int  # operations of an iteration, references among them
    requests: Ints  # (iterations, references): addresses, -1 where predicated off
    chain: int  # cycles until the next iteration may begin, for what it needs of this one
    drained: int  # cycles in which the pipeline is filled and drained
    executed: int  # operations that count


class Loops(Protocol):
    """Nested loops that a CGRA can run."""

    def schedules(self, places: int) -> Iterator[Schedule]:
        """The ways that are tried on an array of so many places."""


@dataclass(frozen=True, eq=False)
class Loop:
    """Two nested loops over what data tells. References that go on word by word are counted, others listed."""

    lengths: Ints  # inner iterations of each outer one
    gathers: tuple[Ints, ...]  # of each inner iteration, addresses in words
    streams: int  # references of an inner iteration that go on word by word
    work: int  # operations of an inner iteration that are the algorithm's
    steps: int  # those that count and test
    outer: int  # operations of an outer iteration, references among them
    outer_streams: int  # references among those, one word after another
    chain: int  # cycles until an inner iteration may follow another that changes the same
    starts: int = 1  # how often the whole nest is entered

    def schedules(self, places: int) -> Iterator[Schedule]:
        """Parts of the loop in lockstep and unrolled, with the outer loop predicated; or the inner loop pipelined alone."""
        equal = self.lengths.min() == self.lengths.max()
        for lanes in range(1, LANES + 1):
            yield self._nested(lanes, places)
            for unroll in (1, 2, 4, 8, 16):
                if unroll == 1 or (equal and self.lengths[0] % unroll == 0):
                    yield self._flat(lanes, unroll)

    @property
    def _executed(self) -> int:
        inner = self.work + self.steps + self.streams + len(self.gathers)
        return int(self.lengths.sum()) * inner + len(self.lengths) * self.outer

    def _flat(self, lanes: int, unroll: int) -> Schedule:
        total = int(self.lengths.sum())
        rounds = ceil(total / lanes / unroll)
        element = np.arange(lanes)[None] * rounds * unroll + np.arange(rounds)[:, None] * unroll
        begins = np.zeros(total, bool)
        begins[(np.cumsum(self.lengths) - self.lengths)[self.lengths > 0]] = True
        requests = []
        for offset in range(unroll):
            at = element + offset
            requests += [_taken(each, at, at < total) for each in self.gathers]
            requests += [np.where(at < total, _streamed(rounds, lanes, stream * unroll + offset), -1)
                         for stream in range(self.streams)]  # fmt: skip
        begun = (element < total) & begins[np.minimum(element, total - 1)]
        requests += [np.where(begun, _streamed(rounds, lanes, self.streams * unroll + stream), -1)
                     for stream in range(self.outer_streams)]  # fmt: skip
        slots = lanes * (unroll * (self.work + len(self.gathers) + self.streams) + self.steps + self.outer)
        return Schedule(slots, np.concatenate(requests, axis=1), self.chain, self.starts * FILL, self._executed)

    def _nested(self, lanes: int, places: int) -> Schedule:
        """Lanes are neighbours of one run of the inner loop; they do not change the same."""
        rounds = -(-self.lengths // lanes)
        segment = np.repeat(np.arange(len(rounds)), rounds)
        place = (np.arange(len(segment)) - (np.cumsum(rounds) - rounds)[segment])[:, None] * lanes + np.arange(
            lanes
        )[None]
        at = (np.cumsum(self.lengths) - self.lengths)[segment][:, None] + place
        inside = place < self.lengths[segment][:, None]
        requests = [_taken(each, at, inside) for each in self.gathers]
        requests += [np.where(inside, _streamed(len(segment), lanes, stream), -1) for stream in range(self.streams)]
        slots = self.steps + lanes * (self.work + len(self.gathers) + self.streams)
        drained = len(rounds) * (FILL + ceil(self.outer / places))
        return Schedule(slots, np.concatenate(requests, axis=1), 1, drained, self._executed)


@dataclass(frozen=True, eq=False)
class VectorLoop:
    """C = A·B with a dense B: of each row of C so many columns as there are lanes, each in a register, over A's non-zeros."""

    lengths: Ints  # non-zeros of each row of A
    inner: Ints  # the row of B of each non-zero
    width: int  # columns of B

    def schedules(self, places: int) -> Iterator[Schedule]:
        """With as many lanes as there are slots, the inner loop pipelined alone or together with the outer one."""
        first = np.cumsum(self.lengths) - self.lengths
        for lanes in range(1, min(LANES, self.width) + 1):
            groups = ceil(self.width / lanes)
            runs = np.repeat(self.lengths, groups)
            run = np.repeat(np.arange(len(runs)), runs)
            at = first[run // groups] + np.arange(len(run)) - (np.cumsum(runs) - runs)[run]
            column = (run % groups)[:, None] * lanes + np.arange(lanes)[None]
            asked = np.where(column < self.width, self.inner[at][:, None] * self.width + column, -1)
            requests = np.concatenate([asked, _streamed(len(run), 1, 0)], axis=1)
            executed = len(run) * 4 + 3 * int((column < self.width).sum()) + len(runs) * (lanes + 2)
            slots = 4 + 3 * lanes  # the pair of A, its address, count and test; of a lane B's element, product, sum
            yield Schedule(slots, requests, 1, len(runs) * (FILL + ceil((lanes + 2) / places)), executed)
            stores = np.zeros(len(run), bool)
            stores[np.cumsum(runs)[runs > 0] - 1] = True
            stored = np.where(stores[:, None], _streamed(len(run), lanes, 1), -1)
            yield Schedule(slots + lanes + 2, np.concatenate([requests, stored], axis=1), 1, FILL, executed)


def cgra(array: MessageArray, loops: Loops, traffic: Traffic, useful: int, times: int = 1) -> Rival:
    """The fastest schedule on as many processing elements, banks and words from outside as `array` has; so many times."""
    found = [
        (each, schedule) for schedule in loops.schedules(array.places) if (each := _cycles(schedule, array.places))
    ]
    cycles, best = min(found, key=lambda pair: pair[0])
    references = times * int((best.requests >= 0).sum())
    executed = times * best.executed
    total = traffic.cycles(times * cycles, array.port_words)
    counts = {
        "product": traffic.products, "sum": max(0, executed - references - traffic.products), "local word": references,
        "hop": 32 * (executed - references) + 32 * references * array.columns / 2, "fifo": 0,
        "configuration": total * array.places, "outside": traffic.words,
    }  # fmt: skip
    return Rival(total, useful / total / array.places, min(1.0, executed / total / array.places),
                 rival_energy_j(array, counts, total))  # fmt: skip


def _taken(addresses: Ints, at: Ints, inside: NDArray[np.bool_]) -> Ints:
    return np.where(inside, addresses[np.minimum(at, len(addresses) - 1)], -1)


def _streamed(steps: int, lanes: int, stream: int) -> Ints:
    """Streams are laid out so that those of a cycle meet in no bank."""
    return np.asarray(np.arange(steps)[:, None] + stream * lanes + np.arange(lanes)[None], np.int64)


def _cycles(schedule: Schedule, banks: int) -> int:
    """With the array held up by requests to one bank; 0: the interval exceeds the configuration."""
    rounds, references = schedule.requests.shape
    interval = max(ceil(schedule.slots / banks), schedule.chain, 1)
    if interval > ENTRIES:
        return 0
    slot = np.arange(references) * interval // references
    held = 0
    for each in range(interval):
        asked = schedule.requests[:, slot == each]
        if asked.shape[1]:
            key = np.arange(rounds)[:, None] * banks + asked % banks
            met = np.bincount(key[asked >= 0], minlength=rounds * banks).reshape(rounds, banks).max(axis=1)
            held += int(np.maximum(met - 1, 0).sum())
    return int(rounds * interval + held + schedule.drained)
