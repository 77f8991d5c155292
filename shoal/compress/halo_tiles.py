"""A matrix in tiles of several codebooks, with a few weights in full beside them: W = dense + sparse.

Each tile is coded in the codebook of its level, with a scale for each of its rows; the weights that count most stand
in a sparse matrix of eight bits (CSR), and zeros in the tiles in their place. Rounding passes errors on from column to
column as GPTQ does (arXiv 2210.17323), restricted to each tile's codebook. Source: HALO, arXiv 2502.19662.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.compress.techniques.gptq import factor
from shoal.errors import InputError
from shoal.formats import Coded, Format, Matrix, Streams
from shoal.formats.codebook import Codebook, codebook

Levels = NDArray[np.uint8]  # of each tile, (tile rows, tile columns)
Place = tuple[int, int]
F64 = NDArray[np.float64]
FULL = 127  # the largest code of a weight in full
MOST_COLUMNS = 1 << 16  # which the sparse part can number


@dataclass(frozen=True, eq=False)
class Sparse:
    """Weights in full, row by row (CSR): value = code · the row's scale."""

    starts: NDArray[np.int64]  # (rows + 1,): where each row's weights begin
    columns: NDArray[np.int64]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]  # (rows,), exact in float16

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.codes)

    def matrix(self, columns: int) -> Matrix:
        """As a matrix, zero elsewhere."""
        found = np.zeros((len(self.scales), columns), np.float32)
        rows = np.repeat(np.arange(len(self.scales)), np.diff(self.starts))
        found[rows, self.columns] = self.codes.astype(np.float32) * self.scales[rows]
        return found

    def times(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product with inputs (places, columns), from the stored weights alone: (places, rows)."""
        found = np.zeros((len(x), len(self.scales)), np.float32)
        rows = np.repeat(np.arange(len(self.scales)), np.diff(self.starts))
        np.add.at(found.T, rows, (self.codes * self.scales[rows])[:, None] * x.T[self.columns])
        return found


@dataclass(frozen=True, eq=False)
class Tiled:
    """A coded matrix."""

    shape: tuple[int, int]
    side: int  # of a tile; those at the ends may be smaller
    levels: Levels
    books: tuple[Codebook, ...]  # by level
    tiles: Mapping[Place, Coded]
    sparse: Sparse

    @property
    def dense(self) -> Matrix:
        """What the tiles stand for."""
        found = np.zeros(self.shape, np.float32)
        for place, part in parts(self.shape, self.side):
            found[part] = self.book(place).decode(self.tiles[place].codes, self.tiles[place].params)
        return found

    @property
    def matrix(self) -> Matrix:
        """What is stored, as float32."""
        return self.dense + self.sparse.matrix(self.shape[1])

    @property
    def stored_bits(self) -> int:
        """What it takes, packed."""
        return 8 * sum(stream.size for stream in pack(self).values())

    def book(self, place: Place) -> Codebook:
        """The codebook of a tile."""
        return self.books[int(self.levels[place])]

    def numbers(self, place: Place) -> NDArray[np.int16]:
        """What the multipliers hold of a tile: whole numbers, without scales."""
        return self.book(place).grid.array[self.tiles[place].codes].astype(np.int16)

    def tile_bytes(self, place: Place) -> int:
        """What is loaded of a tile: codes and scales."""
        return sum(stream.size for stream in self.book(place).pack(self.tiles[place]).values())


def books(levels: Sequence[Sequence[int]]) -> tuple[Codebook, ...]:
    """The codebook of each level's weights.

    Raises:
        InputError: no levels, or one without zero: it could not leave a place to the sparse part.
    """
    if not levels:
        raise InputError("no levels", where="halo", needed="one at least, of all weights")
    for number, weights in enumerate(levels):
        if 0 not in weights:
            raise InputError("a level whose weights lack zero", where=f"level {number}")
    return tuple(codebook(tuple(float(each) for each in weights)) for weights in levels)


def parts(shape: tuple[int, int], side: int) -> Iterator[tuple[Place, tuple[slice, slice]]]:
    """Each tile and where it is.

    Raises:
        InputError: no such side.
    """
    if side < 1:
        raise InputError("tiles need a side", where="halo", needed="at least 1", had=str(side))
    for row in range(0, shape[0], side):
        for column in range(0, shape[1], side):
            place = (row // side, column // side)
            yield place, (slice(row, min(row + side, shape[0])), slice(column, min(column + side, shape[1])))


def tile_counts(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """Tiles down and across."""
    return -(-shape[0] // side), -(-shape[1] // side)


def in_full(weights: Matrix, importance: Matrix, side: int, share: float) -> NDArray[np.bool_]:
    """The weights that are kept in full: in each tile the share with the largest importance · w².

    Raises:
        InputError: no share.
    """
    if not 0 <= share < 1:
        raise InputError("no share", where="halo", needed="0 or more, below 1", had=f"{share:g}")
    counts = importance.astype(np.float64) * weights.astype(np.float64) ** 2
    found = np.zeros(weights.shape, np.bool_)
    for _, part in parts((weights.shape[0], weights.shape[1]), side):
        own = counts[part].reshape(-1)
        number = round(share * own.size)
        chosen = np.zeros(own.size, np.bool_)
        chosen[np.argsort(-own, kind="stable")[:number]] = True
        found[part] = chosen.reshape(counts[part].shape)
    return found


def coded(
    weights: Matrix, square: F64, levels: Levels, forms: Sequence[Codebook], full: NDArray[np.bool_], side: int,
    damp: float = 0.01,
) -> Tiled:  # fmt: skip
    """The matrix with each tile in the codebook of its level, column by column.

    Args:
        weights: (rows, columns), finite.
        square: mean of x·xᵀ over calibration samples, (columns, columns).
        levels: of each tile.
        forms: the codebook of each level.
        full: the weights that are kept in full.
        side: of a tile.
        damp: of the mean diagonal, added to it.

    Raises:
        InputError: the activations are all zero, or their second moments have no inverse.
    """
    if not square.any():
        raise InputError("the activations are zero on all calibration samples", where="halo",
                         hint="calibrate with real inputs")  # fmt: skip
    shape = (weights.shape[0], weights.shape[1])
    upper = factor(square, damp)
    left = weights.astype(np.float64)
    scales = _full_scales(weights, full)
    kept = np.zeros(shape, np.int8)
    importance = np.maximum(np.diagonal(square), 0).astype(np.float32)
    tiles: dict[Place, Coded] = {}
    for first, part in _down(shape, side):  # rows do not know each other
        for column, across in _down((shape[1], shape[0]), side):
            form = forms[int(levels[first, column])]
            own = np.where(full[part, across], 0, left[part, across]).astype(np.float32)
            params = form.fit(own, importance[across])
            codes = np.zeros(own.shape, np.uint8)
            _round(left[part], upper, across, _Rounding(form, params, codes, full[part], kept[part], scales[part]))
            tiles[first, column] = Coded(codes, params)
    return Tiled(shape, side, levels, tuple(forms), tiles, _sparse(kept, full, scales))


@dataclass(frozen=True, eq=False)
class _Rounding:
    """Rows of one tile; `codes` and `kept` are filled."""

    form: Format
    params: Mapping[str, NDArray[np.float32]]
    codes: NDArray[np.uint8]
    full: NDArray[np.bool_]
    kept: NDArray[np.int8]
    scales: NDArray[np.float32]

    def column(self, own: F64, at: int, first: int) -> F64:
        """Code a column of the matrix; what it stands for then."""
        beside = self.full[:, at]
        inside = np.where(beside, 0, own).astype(np.float32)[:, None]
        code = self.form.assign(inside, self.params)
        self.codes[:, at - first] = code[:, 0]
        self.kept[:, at] = np.where(beside, np.clip(np.rint(own / self.scales), -FULL, FULL), 0).astype(np.int8)
        made = self.form.decode(code, self.params)[:, 0]
        return np.where(beside, self.kept[:, at] * self.scales, made).astype(np.float64)


def _round(left: F64, upper: F64, across: slice, rounding: _Rounding) -> None:
    """Round a tile's columns, and pass what is lost on to all later ones."""
    errors = np.zeros((len(left), across.stop - across.start))
    for at in range(across.start, across.stop):
        error = (left[:, at] - rounding.column(left[:, at], at, across.start)) / upper[at, at]
        left[:, at + 1 : across.stop] -= error[:, None] * upper[at, at + 1 : across.stop]
        errors[:, at - across.start] = error
    left[:, across.stop :] -= errors @ upper[across, across.stop :]


def pack(tiled: Tiled) -> Streams:
    """The bytes to store, by name: of each tile its codes and scales, of the sparse part its four arrays.

    Raises:
        InputError: more columns than the sparse part has numbers for.
    """
    if tiled.shape[1] > MOST_COLUMNS:
        raise InputError(
            "too many columns", where="halo", needed=f"at most {MOST_COLUMNS}", had=str(tiled.shape[1])
        )
    found = {"levels": tiled.levels.reshape(-1).copy()}
    for place, tile in tiled.tiles.items():
        for name, stream in tiled.book(place).pack(tile).items():
            found[f"{place[0]}.{place[1]}.{name}"] = stream
    sparse = tiled.sparse
    return {
        **found,
        "full.counts": _bytes(np.diff(sparse.starts), "<u2"),
        "full.columns": _bytes(sparse.columns, "<u2"),
        "full.codes": _bytes(sparse.codes, "i1"),
        "full.scales": _bytes(sparse.scales, "<f2"),
    }


def unpack(streams: Streams, shape: tuple[int, int], side: int, forms: Sequence[Codebook]) -> Tiled:
    """What was packed.

    Raises:
        InputError: the bytes are not of such a matrix.
    """
    down, across = tile_counts(shape, side)
    levels = streams["levels"]
    if levels.size != down * across or (levels >= len(forms)).any():
        raise InputError(
            "the levels do not fit", needed=f"{down * across} below {len(forms)}", had=str(levels.size)
        )
    levels = levels.reshape(down, across)
    tiles: dict[Place, Coded] = {}
    for place, part in parts(shape, side):
        own = {name: streams[f"{place[0]}.{place[1]}.{name}"] for name in ("codes", "scales")}
        size = (part[0].stop - part[0].start, part[1].stop - part[1].start)
        tiles[place] = forms[int(levels[place])].unpack(own, size)
    counts = _read(streams["full.counts"], "<u2")
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns, codes = _read(streams["full.columns"], "<u2").astype(np.int64), _read(streams["full.codes"], "i1")
    if (
        len(counts) != shape[0]
        or len(columns) != starts[-1]
        or len(codes) != starts[-1]
        or (columns >= shape[1]).any()
    ):
        raise InputError("the weights in full do not fit", needed=f"{int(starts[-1])} in {shape[0]} rows")
    scales = _read(streams["full.scales"], "<f2").astype(np.float32)
    return Tiled(shape, side, levels, tuple(forms), tiles, Sparse(starts, columns, codes.astype(np.int8), scales))


def _full_scales(weights: Matrix, full: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A scale for each row with which none of its weights in full clips; exact in float16."""
    largest = np.where(full, np.abs(weights), 0).max(axis=1) / FULL
    rounded = np.maximum(largest, 2.0**-24).astype(np.float16)
    less = rounded.astype(np.float32) < largest
    found: NDArray[np.float32] = np.where(less, np.nextafter(rounded, np.float16(np.inf)), rounded).astype(
        np.float32
    )
    return found


def _sparse(kept: NDArray[np.int8], full: NDArray[np.bool_], scales: NDArray[np.float32]) -> Sparse:
    starts = np.concatenate([[0], np.cumsum(full.sum(axis=1))]).astype(np.int64)
    return Sparse(starts, np.nonzero(full)[1].astype(np.int64), kept[full], scales)


def _down(shape: tuple[int, int], side: int) -> Iterator[tuple[int, slice]]:
    for number, first in enumerate(range(0, shape[0], side)):
        yield number, slice(first, min(first + side, shape[0]))


def _bytes(values: NDArray[np.generic], kind: str) -> NDArray[np.uint8]:
    return np.frombuffer(values.astype(kind).tobytes(), np.uint8)


def _read(data: NDArray[np.uint8], kind: str) -> NDArray[np.generic]:
    return np.frombuffer(data.tobytes(), kind)
