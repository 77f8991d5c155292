"""A product of a vector with weights whose columns lie over all tiles: what is multiplied goes to all, results stay."""

from __future__ import annotations

from collections import defaultdict

from shoal.machines._mesh import Mesh
from shoal.machines._steps import Compute, Send, Step


def product(inputs: int, outputs: int, mesh: Mesh, value_bytes: int = 2) -> tuple[Step, ...]:
    """The steps of one product with a matrix of `outputs` × `inputs`.

    Each tile has an even part of the vector. It sends it along its row, then what it has of its row along its column, to
    the next tile first; then each multiplies with its part of the matrix. Rows of the matrix that tiles do not share evenly
    are shared as if they could be.
    """
    part_bytes = inputs * value_bytes / mesh.tiles
    steps: list[Step] = []
    heard: dict[int, tuple[int, ...]] = defaultdict(tuple)
    for ahead in range(1, mesh.columns):
        for tile in range(mesh.tiles):
            row, column = divmod(tile, mesh.columns)
            target = row * mesh.columns + (column + ahead) % mesh.columns
            heard[target] += (len(steps),)
            steps.append(Send(tile, target, part_bytes))
    along = dict(heard)
    for ahead in range(1, mesh.rows):
        for tile in range(mesh.tiles):
            target = (tile + ahead * mesh.columns) % mesh.tiles
            heard[target] += (len(steps),)
            steps.append(Send(tile, target, part_bytes * mesh.columns, along.get(tile, ())))
    share = inputs * outputs / mesh.tiles
    counts = {"dram": share * value_bytes, "sram": 2 * share * value_bytes, "mac": share}
    return (*steps, *(Compute(tile, counts, heard[tile]) for tile in range(mesh.tiles)))
