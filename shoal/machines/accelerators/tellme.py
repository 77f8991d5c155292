"""An engine of tables on a small FPGA: all sums of three activations are made once, and packed weights look them up.

Source: TeLLMe v2, arXiv 2510.15926, after its idea; clock, tables and port are chosen to agree with its abstract (see
`tellme.toml`). What it covers: tables made anew for each block of activations, partly filled blocks, tiles of weights in two
halves of URAM, one port that loads them beside computing, the pipeline's filling.
What it leaves out: refresh and conflicts of DDR4, the processors' own traffic, placement and routing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.formats import ternary
from shoal.machines._bill import Price, bill
from shoal.machines._checks import check_above_zero, check_fits
from shoal.machines._described import described
from shoal.machines._energy import energy
from shoal.machines.accelerators._standing import standing_in
from shoal.machines.accelerators._tellme_uram import GROUP, Buffers, tile_rows
from shoal.machines.accelerators._ternary import Bytes, Job, TernaryProduct, streamed, ternary_product
from shoal.machines.accelerators.contract import Array, Arrays, Call, Ran

FILE = Path(__file__).with_suffix(".toml")
NODE_NM = 16
ADDS = 13  # of a table: one for each sum but zero, the others are their negatives
BITS = 5  # of a number, which stands for three weights
SIGNED: NDArray[np.int64] = (
    ternary.threes(np.arange(ADDS + 1, dtype=np.uint8)).reshape(-1, GROUP).astype(np.int64) - 1
)
COUNTERS = ("table", "lookup", "uram", "ddr", "attention")


@dataclass(frozen=True, eq=False)
class Coded:
    """A product as the engine has it."""

    ternary: TernaryProduct
    codes: Bytes  # (outputs, numbers of three inputs): a sign above an index of four bits
    tile: int  # outputs in URAM at once


@dataclass(frozen=True)
class Tellme:
    """Its figures are those of `tellme.toml`, with their sources.

    Raises:
        InputError: a figure that is not above zero.
    """

    tables: int = described(FILE, "tables")  # that are looked up at once, each of three activations
    outputs_at_once: int = described(FILE, "outputs_at_once")  # look-ups of a table in a cycle
    clock_hz: float = described(FILE, "clock_hz")
    build_cycles: int = described(FILE, "build_cycles")  # of tables, made while others are in use
    fill_cycles: int = described(FILE, "fill_cycles")  # of the pipeline
    vector_lanes: int = described(FILE, "vector_lanes")  # of norms
    urams: int = described(FILE, "urams")
    tile_rows: int = 0  # outputs in URAM at once; 0: as many as fit
    ports: int = described(FILE, "ports")  # that load weights
    port_bytes: int = described(FILE, "port_bytes")  # in a cycle
    memory_bytes: int = described(FILE, "memory_bytes")
    prefill_lanes: int = described(FILE, "prefill_lanes")  # multiply-adds a cycle of attention over a prompt
    decode_lanes: int = described(FILE, "decode_lanes")  # and of one new token; its port brings as many bytes
    block_tokens: int = described(FILE, "block_tokens")  # of a tile of scores, both ways
    kept_blocks: int = described(FILE, "kept_blocks")  # of keys and values on the chip
    host_bytes_per_s: float = described(FILE, "host_bytes_per_s")  # of the processors, which do the head
    static_w: float = described(FILE, "static_w")

    def __post_init__(self) -> None:
        above = ("tables", "outputs_at_once", "clock_hz", "urams", "ports", "port_bytes", "memory_bytes",
                 "vector_lanes", "prefill_lanes", "decode_lanes", "block_tokens", "host_bytes_per_s")  # fmt: skip
        check_above_zero(self, above, "tellme")

    @property
    def buffers(self) -> Buffers:
        """URAM as the engine reads it."""
        return Buffers(self.urams, self.tables, self.outputs_at_once)

    def tiles(self, tensor: str, inputs: int, outputs: int) -> Iterator[slice]:
        """Outputs that lie in URAM at once.

        Raises:
            LimitError: two tiles do not fit.
        """
        rows = tile_rows(self.buffers, tensor, inputs, outputs, self.tile_rows)
        for first in range(0, outputs, rows):
            yield slice(first, min(first + rows, outputs))

    def jobs(self, what: str, inputs: int, outputs: int, rows: int) -> list[Job]:
        """What one matrix takes for so many rows of activations: a tile is loaded once and meets them all.

        Raises:
            LimitError: two tiles do not fit.
        """
        return [self._job(what, inputs, each.stop - each.start, rows) for each in self.tiles(what, inputs, outputs)]

    def compiled(self, call: Call) -> Coded:
        """See `Accelerator.compiled`."""
        found = ternary_product(call, "tellme")
        inputs, outputs = found.trits.shape
        stored = stored_bytes(inputs, outputs)
        check_fits(found.tensor, stored, self.memory_bytes, "tellme", place="into memory")
        rows = tile_rows(self.buffers, found.tensor, inputs, outputs, self.tile_rows)
        codes = np.pad(found.trits.T + 1, ((0, 0), (0, -inputs % GROUP)), constant_values=1).astype(np.uint8)
        return Coded(found, ternary.threes_packed(codes).reshape(outputs, -1), rows)

    def run(self, task: Coded, data: Arrays | None = None) -> Ran:
        """See `Accelerator.run`."""
        given = standing_in(task.ternary.call) if data is None else data
        codes, scales = task.ternary.activations(given)
        groups = np.pad(codes, ((0, 0), (0, -codes.shape[1] % GROUP))).reshape(len(codes), -1, GROUP)
        sums = np.zeros((len(codes), len(task.codes)), np.int64)
        counters = dict.fromkeys(COUNTERS, 0.0)
        jobs = []
        for first in range(0, len(task.codes), task.tile):
            tile = slice(first, first + task.tile)
            jobs.append(self._summed(task, tile, groups, sums[:, tile], counters))
        took = streamed(jobs)
        cycles = took.cycles + self.fill_cycles
        seconds = cycles / self.clock_hz
        joules = bill(counters, self.prices(), self.static_w, seconds)
        return Ran(task.ternary.outputs(sums, scales, given), cycles, seconds, joules, counters, took.spans)

    def counted(self, tensor: str, inputs: int, outputs: int, rows: int) -> dict[str, float]:
        """Events of one matrix: additions that make tables, look-ups, words of URAM written once and read for each row,
        bytes of DDR4, and none of attention."""
        groups, tiles = (
            ceil(inputs / GROUP),
            [each.stop - each.start for each in self.tiles(tensor, inputs, outputs)],
        )
        words = self.buffers.columns * sum(self.buffers.words(each, inputs) for each in tiles)
        loaded = sum(stored_bytes(inputs, each) for each in tiles)
        found = rows * groups * ADDS * len(tiles), rows * groups * outputs, (1 + rows) * words, loaded, 0
        return dict(zip(COUNTERS, map(float, found), strict=True))

    def prices(self) -> Mapping[str, Price]:
        """Of the events."""
        return {
            "table": ((1, energy("fpga lane", "trit", 8, NODE_NM)),),
            "lookup": ((1, energy("fpga lookup", "read", 10, NODE_NM)),),
            "uram": ((1, energy("uram", "read", 72, NODE_NM)),),
            "ddr": ((8 / 64, energy("ddr4", "read", 64, NODE_NM)),),
            "attention": ((1, energy("fpga dsp", "multiply-add", 8, NODE_NM)),),
        }

    def _summed(self, task: Coded, tile: slice, groups: Array, sums: Array, counters: dict[str, float]) -> Job:
        """One tile: tables of a block of activations, then its outputs, some in a cycle."""
        held = task.codes[tile]
        ternary.check_threes(held)
        load, work, columns = (
            stored_bytes(task.ternary.product.inner, len(held)),
            self.build_cycles,
            self.buffers.columns,
        )
        for first in range(0, held.shape[1], self.tables):
            numbers = held[:, first : first + self.tables]
            tables = groups[:, first : first + self.tables] @ SIGNED.T  # (rows of activations, tables, sums)
            counters["table"] += ADDS * tables.shape[0] * tables.shape[1]
            steps = 0
            for output in range(0, len(held), self.outputs_at_once):
                outputs = slice(output, output + self.outputs_at_once)
                sums[:, outputs] += _looked_up(tables, numbers[outputs])
                counters["lookup"] += len(tables) * numbers[outputs].size
                counters["uram"] += (1 + len(tables)) * columns  # written once
                steps += 1
            work += len(groups) * max(steps, self.build_cycles)
        counters["ddr"] += load
        return Job(task.ternary.call.name, work, self._load(load))

    def _job(self, what: str, inputs: int, outputs: int, rows: int) -> Job:
        steps = max(ceil(outputs / self.outputs_at_once), self.build_cycles)
        work = self.build_cycles + rows * self.buffers.steps(inputs) * steps
        return Job(what, work, self._load(stored_bytes(inputs, outputs)))

    def _load(self, size_bytes: int) -> int:
        """Cycles of the ports."""
        return ceil(size_bytes / (self.ports * self.port_bytes))


def stored_bytes(inputs: int, outputs: int) -> int:
    """Of weights in memory, each row in whole numbers of three."""
    return ceil(outputs * ceil(inputs / GROUP) * BITS / 8)


def _looked_up(tables: Array, numbers: Bytes) -> Array:
    """Sums over the tables, (rows of activations, outputs)."""
    found = tables[:, np.arange(tables.shape[1]), numbers & 15]
    return np.asarray(np.where(numbers >> 4, -found, found).sum(axis=2))
