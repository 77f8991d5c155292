"""−1, 0 and 1 with a scale: in 2, 5/3 or 8/5 bits.

Sources: scale by the mean of magnitudes: BitNet b1.58; five trits in a byte: TerEffic, arXiv 2502.16473; three of them
as a sign and an index of four bits, for a lookup of sixteen entries: bitnet.cpp and ELUTQ, arXiv 2510.19482.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import _bits, _scales
from shoal.formats._grid import Grid, GridFormat, checked, grouped, weight_of
from shoal.formats.contract import Codes, Matrix, Params

Packing = Literal["2", "3in5", "5in8"]
_SHORT = re.compile(r"tern(2|3x5|5x8)(?:g(\d+)|(t))?")
_ROUNDS = 20


@dataclass(frozen=True)
class Ternary(GridFormat):
    """x = s · t. Short: "tern2", "tern3x5", "tern5x8t" (one scale for all), "tern2g128"."""

    packing: Packing = "5in8"
    group: int = 0  # columns that share a scale: 0 a row, -1 all
    fitted: Literal["mse", "mean"] = "mse"  # the scale with the least squared error, or the mean magnitude

    @cached_property
    def grid(self) -> Grid:
        """Three values."""
        return Grid((-1.0, 0.0, 1.0), 2)

    def fit(self, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Params:
        """See `Format.fit`."""
        given = checked(weights, self.group)
        values = np.abs(grouped(given, self.group))
        counts = weight_of(importance, (given.shape[0], given.shape[1]), self.group)
        scales = values.mean(axis=2)
        for _ in range(_ROUNDS if self.fitted == "mse" else 0):  # neither step makes the error larger
            one = counts * (values * 2 > scales[:, :, None])
            total = one.sum(axis=2)
            scales = np.where(total > 0, (one * values).sum(axis=2) / np.maximum(total, 1e-30), scales)
        return {"scales": _scales.rounded(self.grid.scale, scales.astype(np.float32))}

    def _code_bits(self, count: int) -> int:
        match self.packing:
            case "5in8":
                return 8 * ceil(count / 5)
            case "3in5":
                return 8 * ceil(ceil(count / 3) * 5 / 8)
            case "2":
                return super()._code_bits(count)

    def _code_bytes(self, stored: Codes) -> Codes:
        if self.packing == "5in8":
            return fives_packed(stored)
        return _bits.packed(threes_packed(stored), 5) if self.packing == "3in5" else super()._code_bytes(stored)

    def _codes_of(self, data: Codes, count: int) -> Codes:
        match self.packing:
            case "5in8" if data.size != ceil(count / 5):
                raise InputError("trits are cut off", needed=f"{ceil(count / 5)} bytes", had=str(data.size))
            case "5in8":
                return fives(data)[:count]
            case "3in5":
                return threes(_bits.unpacked(data, 5, ceil(count / 3)))[:count]
            case "2":
                return super()._codes_of(data, count)


def short(name: str) -> Ternary | None:
    """The format of a short name, if it is one of these."""
    found = _SHORT.fullmatch(name)
    if not found:
        return None
    packings: dict[str, Packing] = {"2": "2", "3x5": "3in5", "5x8": "5in8"}
    return Ternary(packings[found[1]], -1 if found[3] else int(found[2] or 0))


def check_ternary(values: Matrix) -> Codes:
    """Codes of what is ternary already.

    Raises:
        InputError: another value than −1, 0 and 1.
    """
    wrong = ~np.isin(values, (-1, 0, 1))
    if wrong.any():
        raise InputError("not ternary", needed="-1, 0 or 1", had=f"{float(values[wrong].flat[0]):g}")
    codes: Codes = (values + 1).astype(np.uint8)
    return codes


def fives_packed(trits: Codes) -> Codes:
    """Five of 0, 1, 2 in each byte, the first one counting least; filled up with ones, which are zeros.

    Raises:
        InputError: another code.
    """
    found: Codes = (_filled(trits, 5) * np.array([1, 3, 9, 27, 81], np.uint8)).sum(axis=1, dtype=np.uint8)
    return found


def fives(data: Codes) -> Codes:
    """The trits of some bytes, one after another.

    Raises:
        InputError: a byte above 242.
    """
    check_fives(data)
    found: Codes = _FIVE[data].reshape(-1)
    return found


def check_fives(data: Codes) -> None:
    """Refuse a byte that holds no five trits."""
    if data.size and int(data.max()) > 242:
        raise InputError("a byte that holds no five trits", needed="at most 242", had=str(int(data.max())))


def threes_packed(trits: Codes) -> Codes:
    """Three of 0, 1, 2 in each number of five bits: an index of four, and the highest bit set for its mirror image.

    Raises:
        InputError: another code.
    """
    number = (_filled(trits, 3) * np.array([9, 3, 1], np.uint8)).sum(axis=1, dtype=np.uint8)
    mirrored = number < MIDDLE
    found: Codes = np.where(mirrored, MIDDLE - number + 16, number - MIDDLE).astype(np.uint8)
    return found


def threes(codes: Codes) -> Codes:
    """The trits of some such numbers, one after another.

    Raises:
        InputError: an index that no triple has.
    """
    check_threes(codes)
    index, mirrored = codes & 15, codes >> 4
    found: Codes = _THREE[np.where(mirrored == 1, MIDDLE - index, MIDDLE + index)].reshape(-1)
    return found


def check_threes(codes: Codes) -> None:
    """Refuse five bits that hold no three trits: an index that no triple has, or a zero with a sign."""
    if ((codes & 15 > MIDDLE) | (codes == 16)).any():
        raise InputError("five bits that hold no three trits", needed=f"an index of at most {MIDDLE}")


def _filled(trits: Codes, width: int) -> Codes:
    """In rows of `width`."""
    flat = np.ascontiguousarray(trits, np.uint8).reshape(-1)
    if flat.size and int(flat.max()) > 2:
        raise InputError("a code is no trit", needed="0, 1 or 2", had=str(int(flat.max())))
    full = np.ones(-(-flat.size // width) * width, np.uint8)
    full[: flat.size] = flat
    return full.reshape(-1, width)


MIDDLE = 13  # the number of 1, 1, 1, which stand for zeros
_FIVE: Codes = ((np.arange(243)[:, None] // np.array([1, 3, 9, 27, 81])) % 3).astype(np.uint8)
_THREE: Codes = ((np.arange(27)[:, None] // np.array([9, 3, 1])) % 3).astype(np.uint8)
