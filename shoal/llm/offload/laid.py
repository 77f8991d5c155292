"""A decoder's weights as records of a store, in the order of their use; what is larger than a record should be, as tiles.

Key(0) holds what stays: norms, biases and whatever is small. Layer i of the model is Key(1 + i), its large matrices
Key(1 + i, 1), Key(1 + i, 2) and so on, tile by tile. The vocabulary comes last, or first where the head has rows of
its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, ModelError
from shoal.store import Key, write_file
from shoal.store.values import Arrays

F32 = NDArray[np.float32]
Read = Callable[[str], F32]
STAYS, EMBEDDED, HEAD = Key(0), "model.embed_tokens.weight", "lm_head.weight"
ROWS = "rows"  # the part of a record that is a tile
LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
TILE_BYTES = 24 << 20


@dataclass(frozen=True)
class Tiles:
    """A matrix in rows."""

    keys: tuple[Key, ...]
    starts: tuple[int, ...]  # first row of each, and the end

    @property
    def rows(self) -> int:
        """All of them."""
        return self.starts[-1]


@dataclass(frozen=True)
class Laid:
    """Which key holds what, by the weights' names in transformers' module."""

    layers: int
    whole: Mapping[Key, tuple[str, ...]]  # weights that are one array of a record
    tiles: Mapping[str, Tiles]

    @property
    def order(self) -> tuple[Key, ...]:
        """Keys as one step of the model uses them, the embedding's rows left out."""
        tiled = [
            key
            for name, each in self.tiles.items()
            if name != EMBEDDED or HEAD not in self.tiles
            for key in each.keys
        ]
        return tuple(sorted([*(key for key in self.whole if key != STAYS), *tiled]))

    def least_bytes(self, sizes: Mapping[Key, int]) -> int:
        """The smallest budget: what stays, and the most that is used at once. `sizes` are the records' bytes."""
        inside = {tile for name, each in self.tiles.items() if LAYER.fullmatch(name) for tile in each.keys}
        used = [
            sizes[key] + (sizes.get(Key(key.layer), 0) if key in inside else 0) for key in sizes if key != STAYS
        ]
        return sizes[STAYS] + max(used)


def laid(shapes: Mapping[str, tuple[int, ...]], tile_bytes: int = TILE_BYTES) -> Laid:
    """Where weights of these shapes go; matrices of more than `tile_bytes` are cut into rows.

    Raises:
        ModelError: no layers, or no vocabulary.
        InputError: a tile is smaller than a row.
    """
    layers = 1 + max((int(found[1]) for name in shapes if (found := LAYER.fullmatch(name))), default=-1)
    if not layers or EMBEDDED not in shapes:
        raise ModelError(
            "no decoder's weights", needed=f"model.layers.0… and {EMBEDDED}", had=", ".join([*shapes][:3])
        )
    whole: dict[Key, list[str]] = {STAYS: []}
    tiles: dict[str, Tiles] = {}
    taken: dict[int, int] = {}  # tiles of a layer so far
    for name, shape in shapes.items():
        layer = _place(name, layers, tied=HEAD not in shapes)
        if name in (EMBEDDED, HEAD) or (layer and len(shape) == 2 and _bytes(shape) > tile_bytes):
            tiles[name] = _cut(name, shape, layer, taken.get(layer, 0), tile_bytes)
            taken[layer] = taken.get(layer, 0) + len(tiles[name].keys)
        else:
            whole.setdefault(Key(layer), []).append(name)
    return Laid(layers, {key: tuple(names) for key, names in whole.items()}, tiles)


def write_weights(
    shapes: Mapping[str, tuple[int, ...]], read: Read, path: Path, tile_bytes: int = TILE_BYTES, about: str = ""
) -> Laid:
    """Write a decoder's weights to a store; one record at a time is in memory, beside what `read` gives.

    Raises:
        ModelError: see `laid`.
        WorkError: the file cannot be written.
    """
    found = laid(shapes, tile_bytes)
    write_file(_records(found, read), path, about)
    return found


def _records(found: Laid, read: Read) -> Iterator[tuple[Key, Arrays]]:
    for key, names in found.whole.items():
        yield key, {name: np.asarray(read(name), np.float32) for name in names}
    for name, tiles in found.tiles.items():
        matrix = read(name)
        for key, start, end in zip(tiles.keys, tiles.starts, tiles.starts[1:], strict=False):
            yield key, {ROWS: np.asarray(matrix[start:end], np.float32)}


def _place(name: str, layers: int, *, tied: bool) -> int:
    """The layer of a key; a head of its own comes after all, an embedding beside it before them."""
    if name == HEAD or (name == EMBEDDED and tied):
        return layers + 1
    inside = LAYER.fullmatch(name)
    return 1 + int(inside[1]) if inside else 0


def _cut(name: str, shape: tuple[int, ...], layer: int, taken: int, tile_bytes: int) -> Tiles:
    rows, row_bytes = shape[0], _bytes(shape[1:])
    each = tile_bytes // row_bytes if tile_bytes else rows
    if not each:
        raise InputError(
            "a tile is smaller than a row", where=name, needed=f"{row_bytes} bytes", had=str(tile_bytes)
        )
    starts = (*range(0, rows, each), rows)
    return Tiles(tuple(Key(layer, 1 + taken + at) for at in range(len(starts) - 1)), starts)


def _bytes(shape: Iterable[int]) -> int:
    return 4 * int(np.prod(tuple(shape), dtype=np.int64))


def shapes_of(weights: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    """The shapes of weights that are there."""
    return {name: each.shape for name, each in weights.items()}
