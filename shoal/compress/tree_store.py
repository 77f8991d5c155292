"""A tree of channels as bytes: the root's signs, and for every other row which ones are turned round.

After a head of three numbers of 32 bits (rows, columns, root) all is bits: the root's signs, then row by row in the
tree's order the row, its parent, and its difference as a bitmap or as the gaps between differing columns in a Rice code
(so many ones and a zero for the high bits, then the low ones), whichever is shorter; the signs themselves follow from
the parent's. A list of columns in ⌈log2 columns⌉ bits each pays only below one sign in as many; gaps pay below a half.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.compress.tree import ChannelTree, levels
from shoal.errors import InputError

HEAD = struct.Struct("<III")
LOW = 4  # bits of the number of low bits
MOST = 1 << 31  # signs of a matrix that is read back


def tree_bytes(tree: ChannelTree) -> bytes:
    """The tree; `tree_of_bytes` gives it back."""
    each, wide = _widths(tree.rows, tree.columns)
    bits = [(tree.signs[tree.root] > 0).astype(np.uint8)]
    for row in tree.order[1:].tolist():
        turned = (tree.signs[row] != tree.signs[tree.parent[row]]).astype(np.uint8)
        gaps = _coded(np.flatnonzero(turned), wide)
        bits += [_number(row, each), _number(int(tree.parent[row]), each)]
        bits += [_number(1, 1), gaps] if gaps.size < turned.size else [_number(0, 1), turned]
    head = HEAD.pack(tree.rows, tree.columns, tree.root)
    return head + np.packbits(np.concatenate(bits), bitorder="little").tobytes()


def tree_of_bytes(data: bytes) -> ChannelTree:
    """The tree that was stored.

    Raises:
        InputError: the bytes hold no tree.
    """
    if len(data) < HEAD.size:
        raise InputError("a tree of channels is cut off", had=f"{len(data)} bytes")
    rows, columns, root = HEAD.unpack_from(data)
    if not (rows > 0 and columns > 0 and rows * columns <= MOST and root < rows):
        raise InputError("no tree of channels", had=f"{rows} rows, {columns} columns, root {root}")
    reader = _Reader(np.unpackbits(np.frombuffer(data, np.uint8, offset=HEAD.size), bitorder="little"))
    if reader.left < columns + (rows - 1) * 2:  # before anything is allocated
        raise InputError("a tree of channels is cut off", had=f"{len(data)} bytes")
    each, wide = _widths(rows, columns)
    signs, parent = np.zeros((rows, columns), np.int8), np.full(rows, -2, np.int32)
    signs[root], parent[root] = reader.bits(columns) * np.int8(2) - np.int8(1), -1
    for _ in range(rows - 1):
        row, above = reader.number(each), reader.number(each)
        if row >= rows or above >= rows or parent[row] != -2 or parent[above] == -2:
            raise InputError("no tree of channels", had=f"row {row} on row {above}")
        signs[row], parent[row] = signs[above] * _turns(reader, columns, wide), above
    reader.end()
    return ChannelTree(signs, parent, levels(parent))


def _turns(reader: _Reader, columns: int, wide: int) -> NDArray[np.int8]:
    """(columns,): −1 where a sign is turned round."""
    found = np.ones(columns, np.int8)
    if not reader.number(1):
        return found - np.int8(2) * reader.bits(columns)
    at, count = -1, reader.number(wide)
    low = reader.number(LOW) if count else 0
    for _ in range(count):
        at += 1 + reader.gap(low)
        if at >= columns:
            raise InputError("no tree of channels", had=f"column {at} of {columns}")
        found[at] = -1
    return found


def _coded(at: NDArray[np.intp], wide: int) -> NDArray[np.uint8]:
    """Ascending columns as their count, how many low bits gaps have, and the gaps."""
    if not at.size:
        return _number(0, wide)
    gaps = np.diff(at, prepend=-1) - 1
    low = min(range(1 << LOW), key=lambda bits: int((gaps >> bits).sum()) + bits * gaps.size)
    parts = [_number(at.size, wide), _number(low, LOW)]
    for gap in gaps.tolist():
        parts += [np.ones(gap >> low, np.uint8), np.zeros(1, np.uint8), _number(gap & ((1 << low) - 1), low)]
    return np.concatenate(parts)


class _Reader:
    """Bits one after another."""

    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self._bits, self._at = bits, 0

    @property
    def left(self) -> int:
        """Bits that follow."""
        return self._bits.size - self._at

    def bits(self, count: int) -> NDArray[np.int8]:
        """The next ones."""
        if count > self.left:
            raise InputError("a tree of channels is cut off", needed=f"{count} bits", had=str(self.left))
        self._at += count
        return self._bits[self._at - count : self._at].astype(np.int8)

    def numbers(self, count: int, width: int) -> NDArray[np.int64]:
        """The next `count` numbers of so many bits."""
        spread = self.bits(count * width).reshape(count, width).astype(np.int64)
        found: NDArray[np.int64] = (spread << np.arange(width)).sum(axis=1)
        return found

    def number(self, width: int) -> int:
        """The next number."""
        return int(self.numbers(1, width)[0])

    def gap(self, low: int) -> int:
        """The next number of a Rice code with so many low bits."""
        end = self._at
        while end < self._bits.size and self._bits[end]:
            end += 1
        high = end - self._at
        self.bits(high + 1)  # refuses where no zero follows
        return (high << low) + self.number(low)

    def end(self) -> None:
        """Only what fills up the last byte may be left."""
        if self.left > 7 or self._bits[self._at :].any():
            raise InputError("something follows a tree of channels", had=f"{self.left} bits")


def _widths(rows: int, columns: int) -> tuple[int, int]:
    """Bits of a row's number, and of a column's or a count of columns."""
    return max(1, (rows - 1).bit_length()), max(1, columns.bit_length())


def _number(value: int, width: int) -> NDArray[np.uint8]:
    return _numbers(np.array([value]), width)


def _numbers(values: NDArray[Any], width: int) -> NDArray[np.uint8]:
    spread = (values.astype(np.int64)[:, None] >> np.arange(width)) & 1
    return spread.astype(np.uint8).reshape(-1)
