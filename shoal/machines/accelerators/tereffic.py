"""A ternary matrix core on FPGA cards: a tile of packed weights a cycle, each of which adds, subtracts or leaves an activation.

Source: TerEffic, arXiv 2502.16473, after its idea; clock and width are derived from its abstract (see `tereffic.toml`).
What it covers: partly filled tiles, the pipeline's filling, weights on the card or streamed from HBM beside computing,
the width and size of the memory on the card, look-up tables.
What it leaves out: element-wise ops, which stand behind the core and cost no cycles of their own; routing, placement,
refresh of HBM.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np

from shoal.errors import InputError
from shoal.machines._bill import Price, bill
from shoal.machines._checks import check_above_zero, check_fits
from shoal.machines._described import described
from shoal.machines._energy import energy
from shoal.machines.accelerators._standing import standing_in
from shoal.machines.accelerators._ternary import (
    STORED,
    Bytes,
    Job,
    Packing,
    Stored,
    TernaryProduct,
    streamed,
    ternary_product,
)
from shoal.machines.accelerators.contract import Array, Arrays, Call, Ran

FILE = Path(__file__).with_suffix(".toml")
NODE_NM = 16
URAM_BYTES, BRAM_BYTES, WORD_BITS = 4096 * 9, 512 * 9, 72
CHANNEL_BYTES = 32  # of a pseudo-channel in a cycle
COUNTERS = ("trit", "weights", "hbm", "link")


@dataclass(frozen=True, eq=False)
class Tile:
    """Weights that are read in one cycle, packed."""

    inputs: slice
    outputs: slice
    codes: Bytes


@dataclass(frozen=True, eq=False)
class Tiled:
    """A product as the core has it."""

    ternary: TernaryProduct
    strips: tuple[tuple[Tile, ...], ...]  # outputs that are summed at once, tile after tile of inputs

    @property
    def bytes(self) -> int:
        """Of the packed weights."""
        return sum(tile.codes.nbytes for strip in self.strips for tile in strip)


@dataclass(frozen=True)
class Tereffic:
    """Its figures are those of `tereffic.toml`, with their sources.

    Raises:
        InputError: a figure that is not above zero, or a core that needs more look-up tables, or a wider memory,
            than a card has.
    """

    inputs_at_once: int = described(FILE, "inputs_at_once")  # of a tile
    outputs_at_once: int = described(FILE, "outputs_at_once")
    clock_hz: float = described(FILE, "clock_hz")
    fill_cycles: int = described(
        FILE, "fill_cycles"
    )  # of the pipeline, wherever the next op waits for a whole vector
    weights: Literal["resident", "hbm"] = "resident"  # where they are while tokens are made
    packing: Packing = "5in8"
    cards: int = described(FILE, "cards")  # in a row
    urams: int = described(FILE, "urams")
    brams: int = described(FILE, "brams")
    luts: int = described(FILE, "luts")
    lane_luts: int = described(FILE, "lane_luts")  # of one weight of a tile
    hbm_bytes: int = described(FILE, "hbm_bytes")
    hbm_bytes_per_s: float = described(FILE, "hbm_bytes_per_s")
    hbm_channels: int = described(FILE, "hbm_channels")
    link_bytes_per_s: float = described(FILE, "link_bytes_per_s")  # between cards
    link_s: float = described(FILE, "link_s")
    static_w: float = described(FILE, "static_w")  # of a card

    def __post_init__(self) -> None:
        above = ("inputs_at_once", "outputs_at_once", "clock_hz", "cards", "urams", "hbm_channels",
                 "hbm_bytes_per_s", "link_bytes_per_s")  # fmt: skip
        check_above_zero(self, above, "tereffic")
        if self.lanes * self.lane_luts > self.luts:
            raise InputError("the core is too large for a card", where="tereffic",
                             needed=f"{self.lanes * self.lane_luts} look-up tables", had=str(self.luts))  # fmt: skip
        needed, had = 8 * self.stored.bytes(self.lanes), WORD_BITS * (self.urams + self.brams)
        if needed > had:
            raise InputError("the memory on a card is too narrow for the core", where="tereffic",
                             needed=f"{needed} bits a cycle", had=f"{had}")  # fmt: skip

    @property
    def lanes(self) -> int:
        """Weights a cycle."""
        return self.inputs_at_once * self.outputs_at_once

    @property
    def stored(self) -> Stored:
        """How weights are packed."""
        return STORED[self.packing]

    @property
    def on_card_bytes(self) -> int:
        """What a card holds beside its HBM."""
        return self.urams * URAM_BYTES + self.brams * BRAM_BYTES

    @property
    def capacity_bytes(self) -> int:
        """What a card holds of weights."""
        return self.on_card_bytes if self.weights == "resident" else self.hbm_bytes

    @property
    def streamed_bytes_per_s(self) -> float:
        """Of HBM, as the core's clock takes it."""
        return min(self.hbm_bytes_per_s, self.hbm_channels * CHANNEL_BYTES * self.clock_hz)

    def tiles(self, inputs: int, outputs: int) -> Iterator[list[tuple[slice, slice]]]:
        """The order of work: outputs that are summed at once, and of each the tiles of inputs."""
        for column in range(0, outputs, self.outputs_at_once):
            columns = slice(column, min(column + self.outputs_at_once, outputs))
            yield [
                (slice(row, min(row + self.inputs_at_once, inputs)), columns)
                for row in range(0, inputs, self.inputs_at_once)
            ]

    def jobs(self, what: str, inputs: int, outputs: int, rows: int) -> list[Job]:
        """What one matrix takes for so many rows of activations: a tile is read once and meets them all."""
        return [
            Job(what, rows * len(strip), self._load(sum(self._tile_bytes(*tile) for tile in strip)))
            for strip in self.tiles(inputs, outputs)
        ]

    def packed_bytes(self, inputs: int, outputs: int) -> int:
        """Of a matrix, tile by tile."""
        return sum(self._tile_bytes(*tile) for strip in self.tiles(inputs, outputs) for tile in strip)

    def compiled(self, call: Call) -> Tiled:
        """See `Accelerator.compiled`."""
        found = ternary_product(call, "tereffic")
        strips = tuple(
            tuple(Tile(rows, columns, self.stored.packed(found.trits[rows, columns])) for rows, columns in strip)
            for strip in self.tiles(found.product.inner, found.product.columns)
        )
        tiled = Tiled(found, strips)
        hint = "weights=hbm streams them" if self.weights == "resident" else None
        check_fits(found.tensor, tiled.bytes, self.capacity_bytes, "tereffic", place="on a card", hint=hint)
        return tiled

    def run(self, task: Tiled, data: Arrays | None = None) -> Ran:
        """See `Accelerator.run`."""
        ternary = task.ternary
        given = standing_in(ternary.call) if data is None else data
        codes, scales = ternary.activations(given)
        sums = np.zeros((len(codes), ternary.product.columns), np.int64)
        jobs = [self._summed(ternary, strip, codes, sums) for strip in task.strips]
        took = streamed(jobs)
        cycles = took.cycles + self.fill_cycles
        counters = self.counted(ternary.trits.size * len(codes), task.bytes)
        seconds = cycles / self.clock_hz
        joules = bill(counters, self.prices(), self.static_w * self.cards, seconds)
        return Ran(ternary.outputs(sums, scales, given), cycles, seconds, joules, counters, took.spans)

    def counted(self, trits: int, weights_bytes: int, link_bytes: float = 0) -> dict[str, float]:
        """Events: weights that met an activation, bytes read on the card, from HBM, and sent to another card."""
        streams = self.weights == "hbm"
        return dict(zip(COUNTERS, (trits, weights_bytes, weights_bytes if streams else 0, link_bytes), strict=True))

    def prices(self) -> Mapping[str, Price]:
        """Of the events."""
        return {
            "trit": ((1, energy("fpga lane", "trit", 8, NODE_NM)),),
            "weights": ((8 / WORD_BITS, energy("uram", "read", WORD_BITS, NODE_NM)),),
            "hbm": ((8 / 64, energy("hbm2", "read", 64, NODE_NM)),),
            "link": ((8, energy("cable of 100 Gb/s", "move", 1, NODE_NM)),),
        }

    def _summed(self, ternary: TernaryProduct, strip: tuple[Tile, ...], codes: Array, sums: Array) -> Job:
        """Tile after tile into the accumulators of some outputs; one cycle for each row of activations."""
        work = 0
        for tile in strip:
            shape = ternary.trits[tile.inputs, tile.outputs].shape
            weights = self.stored.unpacked(tile.codes, (shape[0], shape[1]))
            sums[:, tile.outputs] += _selected(codes[:, tile.inputs], weights)
            work += len(codes)
        return Job(ternary.call.name, work, self._load(sum(tile.codes.nbytes for tile in strip)))

    def _tile_bytes(self, rows: slice, columns: slice) -> int:
        return self.stored.bytes((rows.stop - rows.start) * (columns.stop - columns.start))

    def _load(self, size_bytes: int) -> int:
        """Cycles of HBM's port."""
        if self.weights == "resident":
            return 0
        return ceil(size_bytes / self.streamed_bytes_per_s * self.clock_hz)


def _selected(codes: Array, weights: Array) -> Array:
    """Sums of what is added less what is subtracted; float64 holds them exactly, and BLAS sums it."""
    added, taken = (codes.astype(np.float64) @ (weights == sign) for sign in (1, -1))
    return np.asarray(added - taken).astype(np.int64)
