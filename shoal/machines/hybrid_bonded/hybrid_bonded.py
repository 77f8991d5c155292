"""Logic tiles in a mesh, each bonded to DRAM of its own: after the machine of H2EAL, arXiv 2508.16653.

What it covers: banks' rate and rows that are missed, multipliers and a vector unit beside them, messages that hold their
way, energy by event, capacity. What it leaves out: conflicts within a bank, refresh as time, SRAM as a limit, and what a
host does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shoal.errors import InputError, LimitError
from shoal.machines._bill import Price, bill
from shoal.machines._checks import check_above_zero
from shoal.machines._described import described
from shoal.machines._energy import energy
from shoal.machines._mesh import Mesh
from shoal.machines._steps import Counts, Step, Store, passed
from shoal.machines.hybrid_bonded._attention import attention
from shoal.machines.hybrid_bonded._products import product
from shoal.machines.hybrid_bonded.contract import HeadShape, Laid, Ran, Reading
from shoal.units import format_bytes

FILE = Path(__file__).with_suffix(".toml")
NODE_NM, DRAM_NODE_NM = 7, 25  # logic's rows of the table and those of the DRAM under it


@dataclass(frozen=True)
class HybridBonded:
    """Its figures are those of `hybrid_bonded.toml`, with their sources; energies are in `machines/energy.csv`.

    Raises:
        InputError: no tiles, or a rate that is not above zero.
    """

    columns: int = described(FILE, "columns")  # of tiles
    rows: int = described(FILE, "rows")  # of tiles
    tile_bytes: int = described(FILE, "tile_bytes")  # DRAM of a tile
    dram_bytes_per_s: float = described(FILE, "dram_bytes_per_s")  # of a tile
    banks: int = described(FILE, "banks")  # of a tile, which open rows at once
    row_bytes: int = described(FILE, "row_bytes")  # of DRAM
    row_cycle_s: float = described(FILE, "row_cycle_s")  # from opening a row of a bank to the next
    clock_hz: float = described(FILE, "clock_hz")
    mac_lanes: int = described(FILE, "mac_lanes")  # multiply-adds of a tile in a cycle
    vector_lanes: int = described(FILE, "vector_lanes")  # exponentials or comparisons of a tile in a cycle
    link_bytes_per_s: float = described(FILE, "link_bytes_per_s")  # in each direction
    hop_s: float = described(FILE, "hop_s")  # latency from tile to tile
    tile_w: float = described(FILE, "tile_w")  # of a tile, whatever it does
    overlapped: bool = True  # reading, multiplying and exponentials at once, in two buffers; else one after another

    def __post_init__(self) -> None:
        above = ("columns", "rows", "tile_bytes", "dram_bytes_per_s", "banks", "row_bytes", "clock_hz", "mac_lanes",
                 "vector_lanes", "link_bytes_per_s")  # fmt: skip
        check_above_zero(self, above, "hybrid_bonded")
        for name in ("row_cycle_s", "hop_s", "tile_w"):
            if not getattr(self, name) >= 0:
                raise InputError(f"a machine with {name} {getattr(self, name)}", where="hybrid_bonded",
                                 needed="at least zero")  # fmt: skip

    @property
    def mesh(self) -> Mesh:
        """Its tiles and links."""
        return Mesh(self.columns, self.rows, self.link_bytes_per_s, self.hop_s)

    def attention(
        self,
        shape: HeadShape,
        readings: Sequence[Reading],
        laid: Sequence[Laid],
        stores: Sequence[Store] | None = None,
    ) -> Ran:
        """One layer's attention for one token.

        Args:
            shape: of every head.
            readings: what each head reads.
            laid: where its pages lie.
            stores: what tiles hold, if values are to be computed; see `hybrid_bonded.stores`.
        """
        return self.run(attention(shape, readings, laid, self.row_bytes), stores)

    def product(self, inputs: int, outputs: int, value_bytes: int = 2) -> Ran:
        """A vector multiplied with a matrix that lies over all tiles."""
        return self.run(product(inputs, outputs, self.mesh, value_bytes))

    def run(self, steps: Sequence[Step], stores: Sequence[Store] | None = None) -> Ran:
        """Carry out `steps`: seconds by simulation, joules by the table."""
        found = passed(steps, self.mesh, self.seconds, stores)
        joules = bill(found.counts, _prices(), self.tile_w * self.mesh.tiles, found.seconds)
        return Ran(found.seconds, found.counts, joules, found.busy_s, found.links_s)

    def seconds(self, counts: Counts) -> float:
        """Of one unit of a tile: banks, multipliers and vector unit, whatever takes longest."""
        of = counts.get
        memory_s = of("dram", 0) / self.dram_bytes_per_s + of("row", 0) * self.row_cycle_s / self.banks
        mac_s = of("mac", 0) / (self.mac_lanes * self.clock_hz)
        vector_s = of("vector", 0) / (self.vector_lanes * self.clock_hz)
        return max(memory_s, mac_s, vector_s) if self.overlapped else memory_s + mac_s + vector_s

    def held_bytes(self, shape: HeadShape, readings: Sequence[Reading], laid: Sequence[Laid]) -> list[int]:
        """What one layer's heads hold on each tile."""
        found = np.zeros(self.mesh.tiles, np.int64)
        for reading, place in zip(readings, laid, strict=True):
            pages = np.bincount(place.owners, minlength=self.mesh.tiles)
            found += pages * (reading.held_bytes(shape) // reading.stored)
        return [int(each) for each in found]

    def check_held(self, held_bytes: Sequence[float]) -> None:
        """Refuse what does not fit.

        Args:
            held_bytes: of each tile, by all layers and weights.

        Raises:
            LimitError: a tile cannot hold it.
        """
        fullest = max(range(len(held_bytes)), key=lambda tile: held_bytes[tile])
        if held_bytes[fullest] > self.tile_bytes:
            raise LimitError("a tile cannot hold its share of the heads and weights", where=f"tile {fullest}",
                             needed=format_bytes(held_bytes[fullest]), had=format_bytes(self.tile_bytes),
                             hint="fewer tokens, more tiles, or heads of keys that queries share")  # fmt: skip


def _prices() -> dict[str, Price]:
    """A byte, or an operation, in rows of the table."""
    move, read = (
        energy("hybrid bond", "move", 1, DRAM_NODE_NM),
        energy("dram under hybrid bonds", "read", 1, DRAM_NODE_NM),
    )
    return {
        "dram": ((8, move), (8, read)),
        "noc": ((8, energy("hop of a network on the die", "move", 1, NODE_NM)),),
        "sram": ((1 / 8, energy("sram 32 KB", "read", 64, NODE_NM)),),
        "mac": ((1, energy("float", "mul", 16, NODE_NM)), (1, energy("float", "add", 16, NODE_NM))),
        "vector": ((1, energy("float", "exp", 16, NODE_NM)),),
        "row": (),  # what opening takes is in what reading takes
    }
