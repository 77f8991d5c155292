"""How many rows of a ternary matrix lie in URAM at once: as wide as the engine reads, two tiles beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from shoal.errors import LimitError
from shoal.machines.accelerators._ternary import BUFFERS

WORDS, INDICES = 4096, 14  # of a block: words of 72 bits, and numbers of five bits in a word
GROUP = 3  # weights of a number


@dataclass(frozen=True)
class Buffers:
    """The blocks that there are, and what an engine reads of them in a cycle."""

    blocks: int
    tables: int  # numbers of one output
    outputs: int

    @property
    def columns(self) -> int:
        """Blocks beside each other: a cycle's numbers."""
        return ceil(self.tables * self.outputs / INDICES)

    def steps(self, inputs: int) -> int:
        """Blocks of activations that meet the tables one after another."""
        return ceil(ceil(inputs / GROUP) / self.tables)

    def words(self, rows: int, inputs: int) -> int:
        """Of each column, for a tile of so many rows."""
        return ceil(rows / self.outputs) * self.steps(inputs)

    def needed(self, rows: int, inputs: int) -> int:
        """Blocks of one tile."""
        return self.columns * ceil(self.words(rows, inputs) / WORDS)

    def largest(self, inputs: int) -> int:
        """Rows of the largest tile of which two fit; 0: none."""
        deep = self.blocks // (BUFFERS * self.columns) * WORDS
        return self.outputs * (deep // self.steps(inputs))


def tile_rows(buffers: Buffers, tensor: str, inputs: int, outputs: int, asked: int = 0) -> int:
    """Rows of a matrix's tiles.

    Args:
        buffers: of the engine.
        tensor: the matrix, for the error.
        inputs: columns of the matrix.
        outputs: rows of it.
        asked: rows that are wanted; 0: as many as fit.

    Raises:
        LimitError: two tiles of so many rows do not fit; the hint is how many do.
    """
    most = buffers.largest(inputs)
    rows = min(asked or most, outputs)
    if not rows or rows > most:
        needed = BUFFERS * buffers.needed(max(rows, 1), inputs)
        raise LimitError("two tiles of weights do not fit into URAM", where=f"tellme, tensor '{tensor}'",
                         needed=f"{needed} blocks for tiles of {max(rows, 1)} rows", had=f"{buffers.blocks}",
                         hint=f"the largest tile that fits has {most} of {outputs} rows")  # fmt: skip
    return rows
