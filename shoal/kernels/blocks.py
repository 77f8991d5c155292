"""Activations ready for products with weights in few bits: int8, group by group, in the order that the weights have."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError

try:
    from shoal.kernels import _lowbit as compiled
except ImportError:  # shoal was installed where there is no C++ compiler
    compiled = None  # type: ignore[assignment]  # a module or nothing

__all__ = [
    "BLOCK", "F32", "LANES", "WHOLE_GROUP", "Blocks", "compiled", "fits", "groups_of", "laid_out", "native",
    "row_group", "taken", "whole_numbers",
]  # fmt: skip

F32 = NDArray[np.float32]
BLOCK, LANES = 64, 16  # bytes of codes worked on at once, and 32-bit sums of them
WHOLE_GROUP = (
    128  # columns that share an activation scale where weights have one scale a row, if a block has as many
)


def native(path: str) -> ModuleType | None:
    """The native kernels; None where numpy takes their place."""
    return None if path == "numpy" else compiled


@dataclass(frozen=True, eq=False)
class Blocks:
    """Activations in the order of the blocks of a plane."""

    count: int  # of blocks in a row
    codes: NDArray[np.int8]  # (tokens, blocks, 8/bits, 64)
    scales: F32  # (tokens, blocks, 16), by lane
    sums: NDArray[np.int32]  # of codes, like scales
    totals: F32  # of each group of columns as the products see it, (tokens, groups)


def taken(x: F32, bits: int, group: int, path: str = "") -> Blocks:
    """Activations x, (tokens, columns), in int8, group by group, in the order that codes of so many bits have."""
    x = np.ascontiguousarray(x, np.float32)
    groups, width = groups_of(bits, group), 8 // bits
    count = -(-x.shape[1] // (groups * group))
    if compiled is None or path == "numpy":
        return _taken(x, count, groups, group, width)
    codes = np.empty((len(x), count, width, BLOCK), np.int8)
    scales = np.empty((len(x), count, LANES), np.float32)
    sums = np.empty((len(x), count, LANES), np.int32)
    totals = np.empty((len(x), -(-x.shape[1] // group)), np.float32)
    compiled.take(path, x, bits, groups, group, count, codes, scales, sums, totals)
    return Blocks(count, codes, scales, sums, totals)


def _taken(x: F32, count: int, groups: int, group: int, width: int) -> Blocks:
    """The same in numpy."""
    codes, scales = whole_numbers(x, group, count * groups)
    return _ordered(codes, scales, (count, groups, width), -(-x.shape[1] // group))


def whole_numbers(x: F32, group: int, count: int) -> tuple[NDArray[np.int8], F32]:
    """x, (tokens, columns), to ±127: codes, (tokens, groups, group), and scales, (tokens, groups), of `count` groups."""
    padded = np.zeros((len(x), count * group), np.float32)
    padded[:, : x.shape[1]] = x
    grouped = padded.reshape(len(x), count, group)
    most = np.abs(grouped).max(axis=2)
    inverse = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 0)
    return np.rint(grouped * inverse[:, :, None]).astype(np.int8), most / np.float32(127)


def laid_out(codes: NDArray[np.int8], scales: F32, bits: int, group: int) -> Blocks:
    """Activations that are whole numbers already, in the order that weights of so many bits have.

    Args:
        codes: (tokens, columns).
        scales: what they are multiplied by, (tokens, groups of columns), or (tokens, 1).
        bits: of the weights.
        group: columns that share a scale there, `Plane.group`.

    Raises:
        InputError: scales that do not fit.
    """
    groups, (tokens, columns) = groups_of(bits, group), codes.shape
    filled = -(-columns // group)
    if scales.shape not in ((tokens, 1), (tokens, filled)):
        raise InputError("scales do not fit the codes", needed=f"one for {group} columns", had=str(scales.shape))
    count = -(-filled // groups)
    full = np.zeros((tokens, count * groups * group), np.int8)
    full[:, :columns] = codes
    own = np.zeros((tokens, count * groups), np.float32)
    own[:, :filled] = scales
    return _ordered(full.reshape(tokens, -1, group), own, (count, groups, 8 // bits), filled)


def _ordered(codes: NDArray[np.int8], scales: F32, shape: tuple[int, int, int], filled: int) -> Blocks:
    """Codes, (tokens, groups, columns of a group), with their scales, in blocks, each of so many groups and codes of a byte.

    Args:
        codes: zeros where there are no columns.
        scales: (tokens, groups).
        shape: blocks, groups of a block, codes of a byte.
        filled: groups in which there are columns.
    """
    tokens, (count, groups, width) = len(codes), shape
    ordered = codes.reshape(tokens, count, groups, width, BLOCK // groups).swapaxes(2, 3)
    ordered = np.ascontiguousarray(ordered.reshape(tokens, count, width, BLOCK))
    sums = ordered.reshape(tokens, count, width, LANES, 4).sum(axis=(2, 4), dtype=np.int32)
    spread = np.repeat(scales.reshape(tokens, count, groups), LANES // groups, axis=2)
    totals = (codes.sum(axis=2, dtype=np.int32) * scales)[:, :filled]
    return Blocks(
        count, ordered, np.ascontiguousarray(spread), np.ascontiguousarray(sums), totals.astype(np.float32)
    )


def fits(bits: int, group: int) -> bool:
    """Whether codes of so many bits with a scale for so many columns (0 and less: a row) can be multiplied."""
    return bits in (1, 2, 4, 8) and (group < 1 or group in _widths(bits))


def row_group(bits: int) -> int:
    """Columns that share an activation scale where weights have one scale a row."""
    return min(WHOLE_GROUP, BLOCK * 8 // bits)


def _widths(bits: int) -> list[int]:
    """The columns that may share a scale: a block has one, two, four or eight groups."""
    return [BLOCK * 8 // bits // each for each in (8, 4, 2, 1)]


def groups_of(bits: int, group: int) -> int:
    """Groups in a block."""
    if bits not in (1, 2, 4, 8):
        raise InputError("no product of so many bits", needed="1, 2, 4 or 8", had=str(bits))
    columns = BLOCK * 8 // bits
    fit = _widths(bits)
    if group not in fit:
        raise InputError(f"no product with groups of {group}", needed=f"one of {', '.join(map(str, fit))} columns")
    return columns // group
