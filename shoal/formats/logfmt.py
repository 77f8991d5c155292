"""Magnitudes at equal steps of their logarithm, between the least and the largest of a group: LogFMT.

Source: Zhao et al., "Insights into DeepSeek-V3", arXiv 2505.09343, section 4.1.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats import _bits, _scales
from shoal.formats._grid import Floats, checked, counts, grouped, spread, stream
from shoal.formats.contract import Coded, Codes, Matrix, Params, Streams

_SHORT = re.compile(r"logfmt([3-8])(?:g(\d+))?")
_WIDEST = np.float32(2.0**32)  # the largest magnitude over the least one that has a code: ln between them ≤ ln 2^32
_LEAST = np.float32(2.0**-126)  # the least normal number, which stands for the magnitudes of a group of zeros
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Logfmt:
    """x = ± exp(ln low + step · (K − 1)), K = 0 is 0. Short: "logfmt8" (groups of 128), "logfmt6g64".

    Of n bits one is the sign, and K from 1 to 2^(n−1) − 1 goes from the least to the largest magnitude of the group, zeros
    left aside. Each value gets the code of the nearest value itself, not of its logarithm. In order, codes run from the most
    negative value up; in memory they are sign and K.
    """

    bits: int = 8
    group: int = 128  # columns that share the two ends; 0 a row, -1 all

    by_column = True

    def __post_init__(self) -> None:
        if not 3 <= self.bits <= 8:
            raise InputError("so many bits are not stored", where="logfmt", needed="3 to 8", had=str(self.bits))

    @property
    def top(self) -> int:
        """The largest K."""
        return int(2 ** (self.bits - 1) - 1)

    def fit(self, weights: Matrix, importance: NDArray[np.float32] | None = None) -> Params:
        """See `Format.fit`; what a column counts changes nothing."""
        values = np.abs(grouped(checked(weights, self.group), self.group))
        high = np.maximum(values.max(axis=2), _LEAST)
        low = np.where(values > 0, values, np.inf).min(axis=2)
        return {"lows": np.clip(low, np.maximum(high / _WIDEST, _LEAST), high).astype(np.float32), "highs": high}

    def assign(self, weights: Matrix, params: Params) -> Codes:
        """See `Format.assign`."""
        magnitudes, ends = np.abs(weights), self._ends(params, weights.shape[1])
        below = self._below(magnitudes, ends)
        under, over = self._magnitude(below, ends), self._magnitude(below + 1, ends)
        steps = below + (magnitudes - under > over - magnitudes)
        return self._code(np.where(weights < 0, -steps, steps))

    def decode(self, codes: Codes, params: Params) -> Matrix:
        """See `Format.decode`."""
        steps = codes.astype(np.int16) - self.top
        return np.sign(steps) * self._magnitude(np.abs(steps), self._ends(params, codes.shape[1]))

    def bracket(self, weights: Matrix, params: Params) -> tuple[Codes, Codes]:
        """See `Format.bracket`."""
        below = self._below(np.abs(weights), self._ends(params, weights.shape[1]))
        steps = np.where(weights < 0, -below - 1, below)
        return self._code(steps), self._code(steps + 1)

    def pack(self, coded: Coded) -> Streams:
        """See `Format.pack`."""
        if coded.codes.size and int(coded.codes.max()) > 2 * self.top:
            raise InputError("a code that the format does not have", needed=f"at most {2 * self.top}")
        steps = coded.codes.astype(np.int16) - self.top
        stored = (np.abs(steps) | np.where(steps < 0, 1 << (self.bits - 1), 0)).astype(np.uint8)
        ends = {name: _scales.encoded("float32", coded.params[name]) for name in ("lows", "highs")}
        return {"codes": _bits.packed(stored, self.bits), **ends}

    def unpack(self, streams: Streams, shape: tuple[int, int]) -> Coded:
        """See `Format.unpack`."""
        stored = _bits.unpacked(stream(streams, "codes"), self.bits, prod(shape)).astype(np.int16)
        steps = np.where(stored > self.top, -(stored & self.top), stored)
        if ((steps == 0) & (stored > 0)).any():
            raise InputError("a zero with a sign, which the format does not have")
        size = counts(shape, self.group)
        ends = {name: _scales.decoded("float32", stream(streams, name), size) for name in ("lows", "highs")}
        return Coded(self._code(steps).reshape(shape), ends)

    def stored_bits(self, shape: tuple[int, int]) -> int:
        """See `Format.stored_bits`."""
        return 8 * -(-prod(shape) * self.bits // 8) + 2 * 32 * prod(counts(shape, self.group))

    def _ends(self, params: Params, columns: int) -> Ends:
        """ln of the least magnitude and the step between logarithms, for each value; float64, as ln is no short number."""
        lows, highs = (
            np.log(spread(params[name], columns, self.group), dtype=np.float64) for name in ("lows", "highs")
        )
        return lows, (highs - lows) / (self.top - 1)

    def _below(self, magnitudes: Floats, ends: Ends) -> NDArray[np.int16]:
        """K of the values that are not above, the last but one at most."""
        low, step = ends
        with np.errstate(divide="ignore", invalid="ignore"):  # the logarithm of zero; groups of one magnitude
            at = np.floor((np.log(magnitudes, dtype=np.float64) - low) / step + 1e-6)
        inside = np.nan_to_num(at, nan=self.top, posinf=self.top, neginf=-1)
        found: NDArray[np.int16] = np.clip(inside + 1, 0, self.top - 1).astype(np.int16)
        return found

    def _magnitude(self, steps: NDArray[np.integer], ends: Ends) -> Floats:
        low, step = ends
        found: Floats = np.where(steps == 0, 0, np.exp(low + step * (steps - 1))).astype(np.float32)
        return found

    def _code(self, steps: NDArray[np.integer]) -> Codes:
        return (steps + self.top).astype(np.uint8)


def short(name: str) -> Logfmt | None:
    """The format of a short name, if it is one of these."""
    found = _SHORT.fullmatch(name)
    return Logfmt(int(found[1]), int(found[2] or 128)) if found else None
