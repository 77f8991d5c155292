"""Levels for tiles: quick weights where the network minds least, so that it keeps a time. Source: HALO, arXiv 2502.19662.

What a tile loses at a level is its sensitivity times the mean squared error of its weights in that level's codebook;
sensitivity is the sum of the squared gradients of its weights (the diagonal of Fisher's information), or where those
are not at hand the energy of the inputs that its weights meet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from shoal.compress.contract import Seen
from shoal.compress.halo_tiles import Levels, Place, Tiled, books, coded, in_full, parts, tile_counts
from shoal.errors import InputError, LimitError
from shoal.formats import Matrix, quantise, restored
from shoal.formats.codebook import Codebook
from shoal.machines.arrays import Tile, TiledArray
from shoal.machines.multipliers import Clocks
from shoal.search import Milp

F64 = NDArray[np.float64]
_TRIED = 16  # scales, where a level is only judged
_ROUNDS = 8  # of planning again for less time


@dataclass(frozen=True, eq=False)
class Subject:
    """A layer that is to be put on an array."""

    weights: Matrix  # (rows, columns)
    seen: Seen
    importance: Matrix  # (rows, columns): how much a squared error of each weight counts

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.weights.shape[0], self.weights.shape[1]


@dataclass(frozen=True)
class Cut:
    """How layers are cut up."""

    side: int = 128  # of a tile: the array's
    full: float = 0.005  # share of weights that are kept in full beside the tiles


def subject(name: str, weights: Matrix, seen: Seen, squared_gradients: Matrix | None = None) -> Subject:
    """A layer with what its weights are worth.

    Args:
        name: of the layer, for messages.
        weights: (rows, columns).
        seen: of its inputs.
        squared_gradients: of the loss with respect to each weight, mean of the samples; none: the inputs' energy.

    Raises:
        InputError: activations or gradients that are all zero, or of another shape.
    """
    if not seen.square.any():
        raise InputError("the activations are zero on all calibration samples", where=name,
                         hint="calibrate with real inputs")  # fmt: skip
    if squared_gradients is None:
        return Subject(weights, seen, np.broadcast_to(seen.importance(0), weights.shape))
    if squared_gradients.shape != weights.shape:
        raise InputError("gradients of another shape", where=name, needed=str(weights.shape),
                         had=str(squared_gradients.shape))  # fmt: skip
    if not np.isfinite(squared_gradients).all() or not (squared_gradients > 0).any():
        raise InputError("the gradients are zero, or not finite", where=name)
    return Subject(weights, seen, squared_gradients)


@dataclass(frozen=True, eq=False)
class Prospect:
    """What each tile of a layer loses and takes at each level; arrays are (tiles, levels), tiles row by row."""

    lost: F64
    seconds: F64
    joules: F64
    tiles: tuple[tuple[Tile, ...], ...] = ()


def prospect(layer: Subject, clocks: Clocks, array: TiledArray, places: int, cut: Cut) -> Prospect:
    """What to expect of each level, each weight rounded to the nearest; for so many inputs on the array."""
    own = np.where(in_full(layer.weights, layer.importance, cut.side, cut.full), 0, layer.weights)
    rows = [_expected(layer, np.ascontiguousarray(own[part], np.float32), part, clocks, cut)
            for _, part in parts(layer.shape, cut.side)]  # fmt: skip
    tiles = tuple(tuple(tile for _, tile in row) for row in rows)
    return Prospect(
        np.array([[lost for lost, _ in row] for row in rows]),
        np.array([[array.tile_s(tile, places) for tile in row] for row in tiles]),
        np.array([[array.passed([[tile]], places).joules for tile in row] for row in tiles]),
        tiles,
    )


def plan(
    layers: Sequence[Prospect], array: TiledArray, places: int, budget_s: float, budget_j: float = inf
) -> list[list[int]]:
    """The level of each tile of each layer, so that the array takes at most so much for so many inputs.

    The programme of `assign` counts neither filling the array nor changes of the clock between layers nor the unit beside: where a plan turns
    out to take too much, it is made again for less.

    Raises:
        LimitError: no such plan is found.
        MissingExtra: highspy is not installed.
    """
    aim_s, aim_j = budget_s, budget_j
    for _ in range(_ROUNDS):
        levels = assign(layers, aim_s, aim_j, array.switch_s)
        took = array.passed([[row[level] for row, level in zip(each.tiles, own, strict=True)]
                             for each, own in zip(layers, levels, strict=True)], places)  # fmt: skip
        if took.seconds <= budget_s and took.joules <= budget_j:
            return levels
        aim_s *= min(1.0, 0.999 * budget_s / took.seconds)
        aim_j *= min(1.0, 0.999 * budget_j / took.joules)
    raise LimitError("no plan takes so little", where="halo", needed=f"{budget_s:.4g} s, {budget_j:.4g} J",
                     had=f"{took.seconds:.4g} s, {took.joules:.4g} J")  # fmt: skip


def assign(
    layers: Sequence[Prospect], budget_s: float, budget_j: float = inf, switch_s: float = 0.0
) -> list[list[int]]:
    """The level of each tile of each layer: the least loss within time and energy, by an integer programme.

    Args:
        layers: what each level gives.
        budget_s: for all tiles, and a switch for each level that a layer uses beyond its first.
        budget_j: for all tiles.
        switch_s: of a change of the clock.

    Raises:
        LimitError: the tiles take more at their quickest, or at their most sparing.
        MissingExtra: highspy is not installed.
    """
    for what, figures, budget in (("s", [each.seconds for each in layers], budget_s),
                                  ("J", [each.joules for each in layers], budget_j)):  # fmt: skip
        least = sum(float(each.min(axis=1).sum()) for each in figures)
        if least > budget:
            raise LimitError("the layers do not take so little", where="halo", needed=f"{budget:.4g} {what}",
                             had=f"{least:.4g} {what} with the best level for each tile")  # fmt: skip
    scale = max(float(each.lost.max()) for each in layers) or 1.0
    programme, times, energies = Milp(), list[tuple[int, float]](), list[tuple[int, float]]()
    chosen = []
    for each in layers:
        columns = [[programme.binary(cost=float(lost) / scale) for lost in row] for row in each.lost]
        used = _used(programme, columns)
        times += [*_terms(columns, each.seconds / budget_s), *((one, switch_s / budget_s) for one in used)]
        energies += _terms(columns, each.joules / budget_j)
        chosen.append(columns)
    programme.row(times, high=1 + len(chosen) * switch_s / budget_s)
    programme.row(energies, high=1)
    solution = programme.solve(gap=1e-4, time_limit_s=60)
    if not solution.found:
        raise LimitError("the layers do not take so little, with the switches they need", where="halo",
                         needed=f"{budget_s:.4g} s, {budget_j:.4g} J")  # fmt: skip
    return [[int(np.argmax(solution.values[row])) for row in columns] for columns in chosen]


def _used(programme: Milp, columns: list[list[int]]) -> list[int]:
    """Each tile has one level; unknowns that are 1 for each level that some tile has."""
    for row in columns:
        programme.row([(column, 1.0) for column in row], 1, 1)
    used = [programme.binary() for _ in columns[0]]
    for level, one in enumerate(used):
        programme.row([*((row[level], 1.0) for row in columns), (one, -float(len(columns)))], high=0)
    return used


def _terms(columns: list[list[int]], factors: F64) -> list[tuple[int, float]]:
    return [(column, float(factor)) for row, some in zip(columns, factors, strict=True)
            for column, factor in zip(row, some, strict=True)]  # fmt: skip


def _expected(
    layer: Subject, tile: Matrix, part: tuple[slice, slice], clocks: Clocks, cut: Cut
) -> list[tuple[float, Tile]]:
    """Loss and demand of one tile at each level."""
    sensitivity = float(layer.importance[part].astype(np.float64).sum())
    columns, found = layer.seen.importance(0)[part[1]], []
    for number, (level, form) in enumerate(zip(clocks.levels, codebooks(clocks), strict=True)):
        made = quantise(replace(form, clip=_TRIED), tile, columns)
        error = (restored(form, made) - tile).astype(np.float64)
        energy = _effort(form.grid.array[made.codes], clocks)
        volts = level.volts / clocks.supply.nominal_v
        asked = Tile(tile.shape[1], tile.shape[0], number, level.clock, volts,
                     form.stored_bits((tile.shape[0], tile.shape[1])) / 8, energy, round(cut.full * tile.size))  # fmt: skip
        found.append((sensitivity * float(np.mean(error**2)), asked))
    return found


def halo(layer: Subject, levels: Sequence[int], forms: Sequence[Codebook], cut: Cut) -> Tiled:
    """The layer with each tile, row by row, in the codebook of its level; raises like `coded`."""
    full = in_full(layer.weights, layer.importance, cut.side, cut.full)
    grid: Levels = np.array(levels, np.uint8).reshape(tile_counts(layer.shape, cut.side))
    return coded(layer.weights, layer.seen.square[0], grid, forms, full, cut.side)


def codebooks(clocks: Clocks) -> tuple[Codebook, ...]:
    """The codebook of each level."""
    return books([level.weights for level in clocks.levels])


def format_name(weights: Collection[int], group: int = 0) -> str:
    """The name of the format of these weights, for `shoal compress --with gptq:format=…`."""
    values = "/".join(str(each) for each in sorted(weights))
    return f"codebook:values={values}" + (f",group={group}" if group else "")


def loads(tiled: Tiled, clocks: Clocks) -> tuple[Tile, ...]:
    """What the array is asked for: of each tile its clock, its bytes and the energy of the weights it really holds."""
    beside = _beside(tiled)
    found = []
    for place in tiled.tiles:
        level = clocks.levels[int(tiled.levels[place])]
        numbers = tiled.numbers(place)
        effort = _effort(numbers, clocks)
        found.append(Tile(numbers.shape[1], numbers.shape[0], int(tiled.levels[place]), level.clock,
                          level.volts / clocks.supply.nominal_v, tiled.tile_bytes(place), effort, beside[place]))  # fmt: skip
    return tuple(found)


def _effort(numbers: NDArray[np.float32] | NDArray[np.int16], clocks: Clocks) -> float:
    """Energy of products with these weights over that of a usual product."""
    return float(clocks.table.energy[clocks.table.place(numbers.astype(np.int16))].mean()) / clocks.energy


def _beside(tiled: Tiled) -> Mapping[Place, int]:
    full = np.zeros(tiled.shape, np.bool_)
    rows = np.repeat(np.arange(tiled.shape[0]), np.diff(tiled.sparse.starts))
    full[rows, tiled.sparse.columns] = True
    return {place: int(full[part].sum()) for place, part in parts(tiled.shape, tiled.side)}
