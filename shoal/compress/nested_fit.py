"""A grid and codes for weights in bits that nest, so that each width serves the outputs and none spoils the finer ones.

Three things beyond truncation: the grid of a group is searched for all widths together; gains and offsets of the fewest
widths are least squares; and codes are chosen column by column, what is lost made good by the columns after (GPTQ,
arXiv 2210.17323), for the fewest bits first and then for one bit more at a time, of the two that the bits so far leave.
A weight may only leave its cell by a share of the cell, or finer widths could not come back to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.compress.nested import (
    F16,
    F64,
    FITTED,
    GROUP,
    LEAST,
    MOST,
    PLAIN,
    U8,
    Nested,
    line,
    packed_gain,
    packed_offset,
    unpacked_fit,
)
from shoal.compress.techniques.gptq import factor
from shoal.errors import InputError
from shoal.formats import Matrix

I64 = NDArray[np.int64]

SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)  # of a group's range that the grid covers
SERVED = (2, 3, 4, 6, 8)  # bits that the search weighs
LEAST_CELL = 2.0**-14  # below, float16 has fewer digits


@dataclass(frozen=True)
class Fitting:
    """What is done beyond truncation."""

    searched: bool = True
    fitted: bool = True
    feedback: bool = True
    slack: float = 1 / 4  # of a cell, by which feedback may take a weight out of it
    damp: float = 0.01  # of the mean second moment


WHOLE = Fitting()
TRUNCATED = Fitting(searched=False, fitted=False, feedback=False)


def nested(weights: Matrix, square: F64 | None = None, how: Fitting = WHOLE) -> Nested:
    """A matrix in eight bits that nest.

    Args:
        weights: (rows, columns), finite.
        square: (columns, columns), second moments of the inputs; none: all alike.
        how: the codes are found.

    Raises:
        InputError: something is not finite, or groups do not divide the columns.
    """
    rows, columns = weights.shape
    width = min(GROUP, columns)
    if not np.isfinite(weights).all() or columns % width:
        raise InputError(
            "weights are finite, in whole groups", needed=f"columns in {width}", had=str(weights.shape)
        )
    moments = np.eye(columns) if square is None else square
    values = weights.astype(np.float64).reshape(rows, -1, width)
    counts = np.maximum(np.diagonal(moments), 1e-12).reshape(1, -1, width)
    cells, starts = _grid(values, counts, how)
    fits = {bits: _fit(values, counts, cells, starts, bits) for bits in FITTED} if how.fitted else {}
    if not how.feedback:
        codes = _truncated(values, cells, starts).reshape(rows, columns)
        return Nested(codes, MOST, cells, starts, fits)
    return Nested(
        _fed_back(weights.astype(np.float64), moments, cells, starts, fits, how), MOST, cells, starts, fits
    )


def _grid(values: F64, counts: F64, how: Fitting) -> tuple[F16, F16]:
    """The best of some grids in each group: errors of all widths, each in its own cells, count alike."""
    tried = [_covering(values, share) for share in (SHARES if how.searched else SHARES[:1])]
    if len(tried) == 1:
        return tried[0]
    lost = [[4.0**bits * _lost(values, counts, *grid, bits) for bits in SERVED] for grid in tried]
    best = np.asarray(lost).sum(axis=1).argmin(axis=0)
    pick = (np.choose(best, [grid[at] for grid in tried]) for at in (0, 1))
    cells, starts = pick
    return cells, starts


def _covering(values: F64, share: float) -> tuple[F16, F16]:
    """A grid about the middle of each group."""
    low, high = values.min(axis=2), values.max(axis=2)
    steps = 2**MOST - 1
    cells = np.maximum((high - low) * share / steps * 2 ** (MOST - LEAST), LEAST_CELL).astype(np.float16)
    half = cells.astype(np.float64) / 2 ** (MOST - LEAST) * steps / 2
    return cells, ((low + high) / 2 - half).astype(np.float16)


def _places(values: F64, cells: F16, starts: F16) -> F64:
    """Where values lie on the finest grid, whose codes are 0 to 255."""
    step = cells.astype(np.float64)[:, :, None] / 2 ** (MOST - LEAST)
    found: F64 = (values - starts.astype(np.float64)[:, :, None]) / step
    return found


def _truncated(values: F64, cells: F16, starts: F16) -> U8:
    found: U8 = np.clip(np.rint(_places(values, cells, starts)), 0, 2**MOST - 1).astype(np.uint8)
    return found


def _lost(values: F64, counts: F64, cells: F16, starts: F16, bits: int) -> F64:
    """Of each group by truncation to a width whose levels are fitted, if they may be: squares, weighted."""
    fit = _fit(values, counts, cells, starts, bits) if bits in FITTED else np.full(cells.shape, PLAIN, np.uint8)
    slopes, bases = line(bits, cells, starts, fit)
    codes = _truncated(values, cells, starts) >> np.uint8(MOST - bits)
    found: F64 = (counts * (slopes[:, :, None] * codes + bases[:, :, None] - values) ** 2).sum(axis=2)
    return found


def _fit(values: F64, counts: F64, cells: F16, starts: F16, bits: int) -> U8:
    """Gain and offset of least squares, of the truncated codes; the offset is that of the gain as it is stored."""
    wide, middle = 2.0 ** (MOST - bits), (2**bits - 1) / 2
    wanted = (_places(values, cells, starts) + 0.5) / wide - middle - 0.5
    had = (_truncated(values, cells, starts) >> np.uint8(MOST - bits)) - middle
    total = np.broadcast_to(counts, values.shape).sum(axis=2)
    mean_wanted, mean_had = (counts * wanted).sum(axis=2) / total, (counts * had).sum(axis=2) / total
    apart = had - mean_had[:, :, None]
    spread = (counts * apart**2).sum(axis=2)
    gain = np.where(spread > 0, (counts * apart * wanted).sum(axis=2) / np.where(spread > 0, spread, 1), 1.0)
    byte = packed_gain(bits, gain)
    stored, _ = unpacked_fit(bits, byte)
    return byte | packed_offset(mean_wanted - stored * mean_had)


def _fed_back(weights: F64, moments: F64, cells: F16, starts: F16, fits: dict[int, U8], how: Fitting) -> U8:
    """Codes of eight bits, found bit by bit."""
    rows, columns = weights.shape
    width = columns // cells.shape[1]
    upper = factor(moments, how.damp)
    places = _places(weights.reshape(rows, -1, width), cells, starts).reshape(rows, columns)
    codes = np.zeros((rows, columns), np.int64)
    for bits in range(LEAST, MOST + 1):
        fit = fits.get(bits, np.full(cells.shape, PLAIN, np.uint8))
        slopes, bases = (
            np.repeat(each, width, axis=1).astype(np.float64) for each in line(bits, cells, starts, fit)
        )
        low, high = (2 * codes, 2 * codes + 1) if bits > LEAST else (0 * codes, 0 * codes + 2**LEAST - 1)
        wide = 2.0 ** (MOST - bits)
        near = [np.clip(np.floor((places + 0.5) / wide + side * how.slack), low, high) for side in (-1, 1)]
        codes = _rounded(weights.copy(), upper, slopes, bases, near[0], near[1])
    return codes.astype(np.uint8)


def _rounded(left: F64, upper: F64, slopes: F64, bases: F64, low: F64, high: F64) -> I64:
    """The nearest codes between two limits, column by column; what is lost goes to the columns after."""
    codes = np.zeros(left.shape, np.int64)
    for at in range(left.shape[1]):
        wanted = np.rint((left[:, at] - bases[:, at]) / slopes[:, at])
        codes[:, at] = np.clip(wanted, low[:, at], high[:, at])
        error = (left[:, at] - slopes[:, at] * codes[:, at] - bases[:, at]) / upper[at, at]
        left[:, at + 1 :] -= error[:, None] * upper[at, at + 1 :]
    return codes
