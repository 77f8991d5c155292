"""Tiles in rows and columns, each linked with its neighbours in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from shoal.errors import InputError

Link: TypeAlias = tuple[int, int]  # from a tile to its neighbour


@dataclass(frozen=True)
class Mesh:
    """Tile t is in column t % columns of row t // columns.

    Raises:
        InputError: no tile, or a rate that moves nothing.
    """

    columns: int
    rows: int
    link_bytes_per_s: float  # of each link, in each direction
    hop_s: float  # latency of one

    def __post_init__(self) -> None:
        if self.columns < 1 or self.rows < 1:
            raise InputError("a mesh without tiles", needed="at least one column and one row",
                             had=f"{self.columns} × {self.rows}")  # fmt: skip
        if not self.link_bytes_per_s > 0 or not self.hop_s >= 0:
            raise InputError("links that move nothing", needed="more than 0 B/s, and hops of at least 0 s",
                             had=f"{self.link_bytes_per_s} B/s, {self.hop_s} s")  # fmt: skip

    @property
    def tiles(self) -> int:
        """How many."""
        return self.columns * self.rows

    def path(self, source: int, target: int) -> tuple[Link, ...]:
        """The links on the way: along the row first, then along the column, which cannot end in a circle of waiting."""
        turn = source // self.columns * self.columns + target % self.columns
        along = _stops(source, turn, 1) + _stops(turn, target, self.columns)[1:]
        return tuple(pairwise(along))

    def snake(self) -> tuple[int, ...]:
        """All tiles, each a neighbour of the one before: there and back along the rows."""
        rows = [range(row * self.columns, (row + 1) * self.columns) for row in range(self.rows)]
        return tuple(tile for at, row in enumerate(rows) for tile in (reversed(row) if at % 2 else row))


def _stops(source: int, target: int, step: int) -> list[int]:
    step = step if target >= source else -step
    return [*range(source, target, step), target]
