"""Three ways to lay the pages of a layer's heads over tiles: two usual ones and that of H2EAL."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shoal.machines._mesh import Mesh
from shoal.machines.hybrid_bonded._balance import FULL, balanced, dealt
from shoal.machines.hybrid_bonded.contract import HeadShape, Laid, Reading


def one_head_one_tile(readings: Sequence[Reading], mesh: Mesh, first: int = 0) -> list[Laid]:
    """All pages of a head lie on one tile, head after head over the tiles, beginning with tile `first`.

    Nothing goes over the mesh. Where tiles are no multiple of the heads some do more than others, or nothing.
    """
    homes = [(first + at) % mesh.tiles for at in range(len(readings))]
    return [Laid(home, np.full(each.stored, home)) for home, each in zip(homes, readings, strict=True)]


def interleaved(readings: Sequence[Reading], mesh: Mesh, first: int = 0) -> list[Laid]:
    """Pages lie on tile after tile, whoever computes; heads are computed as in `one_head_one_tile`.

    All banks are read alike, and of T tiles T − 1 parts of T of what is read go over the mesh.
    """
    homes = [(first + at) % mesh.tiles for at in range(len(readings))]
    return [
        Laid(home, (np.arange(each.stored) + home) % mesh.tiles, travels=True)
        for home, each in zip(homes, readings, strict=True)
    ]


def co_placed(
    readings: Sequence[Reading], mesh: Mesh, shape: HeadShape, first: int = 0, full: float = FULL
) -> list[Laid]:
    """Pages over groups of tiles by what is expected to be read, computed on where they lie; see `balanced`.

    Args:
        readings: of which only the number of pages counts, not which ones: a layout is there before they are chosen.
        mesh: of the tiles.
        shape: of the heads.
        first: where in the mesh's snake the first group begins.
        full: the fullest tile over the mean, above which work is split.
    """
    snake = mesh.snake()
    order = snake[first % mesh.tiles :] + snake[: first % mesh.tiles]
    works = [float(each.bytes(shape)) for each in readings]
    shares = balanced(works, [each.scored for each in readings], order, full)
    return [
        Laid(max(each, key=lambda tile: each[tile]), dealt(reading.stored, each))
        for each, reading in zip(shares, readings, strict=True)
    ]
