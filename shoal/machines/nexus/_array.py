"""The array of active messages as a machine: its sizes, and runs of programs with what they gave and took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log
from pathlib import Path
from typing import Literal

import numpy as np

from shoal.errors import InputError, LimitError, WorkError
from shoal.machines._bill import bill
from shoal.machines._checks import check_above_zero
from shoal.machines._described import described
from shoal.machines.nexus import _state as loop
from shoal.machines.nexus._blocked import blocked
from shoal.machines.nexus._prices import message_prices
from shoal.machines.nexus._program import Program, Records
from shoal.machines.nexus._sparse import Floats, Ints

FILE = Path(__file__).with_name("nexus.toml")
WINDOWS = 64  # of the history
WORD_BITS = 16
MOST_SUM = 2**31
PC_BITS, AGE_BITS = 4, 8


@dataclass(frozen=True, eq=False)
class Outcome:
    """What programs gave and took."""

    values: Floats
    cycles: int  # loading and emptying the local memories included
    array_cycles: int  # without
    counts: dict[str, float]  # events that cost energy
    facts: dict[str, float]  # others
    busy: Ints  # (places, 2): cycles of the ALU; cycles in which anything was done
    history: Ints  # (places, windows): cycles of the ALU
    window: int  # cycles

    @property
    def on_the_way(self) -> float:
        """Share of products that were made before the message arrived."""
        made = self.facts["at work"] + self.facts["on the way"]
        return self.facts["on the way"] / made if made else 0.0


@dataclass(frozen=True)
class MessageArray:
    """Its figures are those of `nexus.toml`, with their sources.

    Raises:
        InputError: figures that no machine can have.
    """

    columns: int = described(FILE, "columns")
    rows: int = described(FILE, "rows")
    words: int = described(FILE, "words")  # of 16 bits, of a local memory
    depth: int = described(FILE, "depth")  # messages of a FIFO
    queue: int = described(FILE, "queue")  # records of a place
    port_words: int = described(FILE, "port_words")  # of 16 bits a cycle, from outside
    clock_hz: float = described(FILE, "clock_hz")
    static_w: float = described(FILE, "static_w")
    values: Literal["int16", "float32"] = "int16"  # of operands; sums have 32 bits
    en_route: bool = True  # do idle ALUs take products of messages that wait on their way
    routing: Literal["xy", "adaptive"] = (
        "xy"  # along the row, then the column; or west first, then where most room is
    )
    valiant: bool = False  # does each leg lead over a random place
    swaps: bool = True  # do elements of vectors change places, as long as that lowers load and ways together
    networks: int = 0  # virtual ones; 0: as many as a program's messages have legs, so that none waits for its like
    patience: int = 64  # cycles without any movement after which the array is stuck

    def __post_init__(self) -> None:
        above = ("columns", "rows", "words", "depth", "queue", "port_words", "clock_hz")
        check_above_zero(self, above, "nexus", what="an array")
        if self.networks < 0:
            raise InputError(f"an array with {self.networks} networks", where="nexus", needed="0 or more")

    @property
    def places(self) -> int:
        """Processing elements."""
        return self.columns * self.rows

    @property
    def operand_words(self) -> int:
        """16-bit words of an operand."""
        return 1 if self.values == "int16" else 2

    @property
    def record_words(self) -> int:
        """16-bit words of a record in memory: entry, operand, two addresses with their places."""
        return ceil(self._record_bits / WORD_BITS)

    @property
    def message_bits(self) -> int:
        """Of a message on a link: a record, its second operand, a third place, its age."""
        return self._record_bits + WORD_BITS * self.operand_words + (self.places - 1).bit_length() + AGE_BITS

    @property
    def _record_bits(self) -> int:
        place = (self.places - 1).bit_length() + (self.words - 1).bit_length()
        return PC_BITS + WORD_BITS * self.operand_words + 2 * place

    def run(self, program: Program) -> Outcome:
        """Load the memories, run batch after batch, read the results.

        Raises:
            WorkError: the array is stuck; it names the FIFOs that wait for one another.
            LimitError: a sum exceeds 32 bits.
        """
        index, value = program.memories.contents()
        counts, busy = np.zeros(loop.COUNTS, np.int64), np.zeros((self.places, 2), np.int64)
        history = np.zeros((self.places, WINDOWS), np.int64)
        for batch in program.batches:
            history = self._batch(program, batch, index, value, counts, busy)
        values = value[program.places, program.addresses]
        if self.values == "int16" and np.abs(values).max(initial=0) >= MOST_SUM:
            raise LimitError("a sum exceeds 32 bits", where="nexus", had=f"{np.abs(values).max():.0f}")
        return self._outcome(program, values, counts, busy, history)

    def _batch(
        self, program: Program, batch: Records, index: Ints, value: Floats, counts: Ints, busy: Ints
    ) -> Ints:
        from shoal.machines.nexus._cycles import run_cycles  # compiles

        phases = 2 if self.valiant else 1
        order = batch.order(self.places)
        bounds = np.searchsorted(batch.place[order], np.arange(self.places + 1))
        setting = [self.columns, self.rows, self.networks or program.legs * phases, phases, self.depth,
                   self.routing == "adaptive", self.en_route, self.values == "float32", self.port_words,
                   self.record_words, self.queue, self.patience]  # fmt: skip
        state = loop.fresh(
            np.array(setting, np.int64), np.array([(each.does, each.then) for each in program.entries], np.int64),
            np.array([each.constant for each in program.entries]), index, value, batch.table()[order],
            batch.operand[order].astype(np.float64), np.stack([bounds[:-1], bounds[:-1], bounds[1:]], axis=1), busy, WINDOWS,
        )  # fmt: skip
        if run_cycles(*state) == loop.STUCK:
            raise WorkError("deadlock: nothing moves any more", where=f"nexus, cycle {state.counts[loop.CYCLES]}",
                            had=blocked(state), hint="as many virtual networks as messages have legs: networks=0")  # fmt: skip
        counts += state.counts
        counts[loop.WINDOW] = state.counts[loop.WINDOW]
        return state.history

    def _outcome(self, program: Program, values: Floats, counts: Ints, busy: Ints, history: Ints) -> Outcome:
        idle = ceil(log(self.places, 4)) if self.places > 1 else 0  # a tree that tells that all are
        array_cycles = int(counts[loop.CYCLES]) + idle * len(program.batches)
        loaded = program.memories.loaded
        emptied = len(values) * program.result_words
        cycles = array_cycles + ceil(loaded / self.port_words) + ceil(emptied / self.port_words)
        events = {
            "product": counts[loop.PRODUCTS],
            "sum": counts[loop.ADDS],
            "local word": counts[loop.READS] + counts[loop.WRITES] + (loaded + emptied) / 2,
            "hop": counts[loop.HOPS] * self.message_bits,
            "fifo": (counts[loop.HOPS] + counts[loop.RECORDS] + counts[loop.CHILDREN]) * self.message_bits,
            "configuration": counts[loop.PRODUCTS] + counts[loop.READS],
            "outside": loaded + emptied + counts[loop.RECORDS] * self.record_words,
        }
        facts = {"at work": counts[loop.AT_WORK], "on the way": counts[loop.ON_THE_WAY], "stalls": counts[loop.STALLS],
                 "killed": counts[loop.KILLED], "records": counts[loop.RECORDS],
                 "children": counts[loop.CHILDREN]}  # fmt: skip
        return Outcome(values, cycles, array_cycles, {name: float(each) for name, each in events.items()},
                       {name: float(each) for name, each in facts.items()}, busy, history, int(counts[loop.WINDOW]))  # fmt: skip

    def seconds(self, cycles: int) -> float:
        """At its clock."""
        return cycles / self.clock_hz

    def energy_j(self, outcome: Outcome) -> dict[str, float]:
        """By component."""
        return bill(outcome.counts, message_prices(self.values), self.static_w, self.seconds(outcome.cycles))


def joined(parts: Sequence[Outcome], values: Floats) -> Outcome:
    """Runs one after another, as one; the history is that of the longest."""
    longest = max(parts, key=lambda each: each.array_cycles)
    return Outcome(
        values, sum(each.cycles for each in parts), sum(each.array_cycles for each in parts),
        {name: sum(each.counts[name] for each in parts) for name in longest.counts},
        {name: sum(each.facts[name] for each in parts) for name in longest.facts},
        np.sum([each.busy for each in parts], axis=0), longest.history, longest.window,
    )  # fmt: skip
