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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from shoal.errors import LimitError
from shoal.machines import cgra as arrays
from shoal.machines.nexus._array import MessageArray
from shoal.machines.nexus._lanes import (
    ENTRIES,
    Access,
    Fabric,
    Lanes,
    least_cycles,
    nodes_of,
    scheduled,
    unrolled,
)
from shoal.machines.nexus._rival import Rival, Traffic, rival_energy_j
from shoal.machines.nexus._schedules import Asked, Loops, Schedule
from shoal.machines.nexus._sparse import Ints

LANES = 12  # at most
SHARE = 2  # of the configuration's slots, the part that a loop may take: beyond, searches find hardly anything
VALUE_BITS, QUEUE_BITS = 32, 16


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
