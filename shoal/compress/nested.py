"""Weights in bits that nest: one code of eight bits, whose highest b bits are the code of b bits.

After "D²MoE", arXiv 2504.15299, and Nair et al., "Matryoshka Quantization", arXiv 2502.06786. A group of columns has one
even grid, two numbers in float16, for all widths. The fewest widths have a gain and an offset besides, which pull levels to
the middle of the weights that lie at them: half a byte each, in units of such a width's cell. The layout is a choice.

Codes are stored as planes: the first holds the two highest bits and the grid, each further one a bit and, where its width
has them, gains and offsets. What is held of a matrix grows by a plane; nothing is stored twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, ModelError
from shoal.formats._bits import packed, unpacked

U8 = NDArray[np.uint8]
F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Streams = Mapping[str, NDArray[Any]]

LEAST, MOST = 2, 8  # bits
GROUP = 64  # columns
FITTED = (2, 3, 4)  # widths that have a gain and an offset: above, they gain less than they take
PLAIN = 0x80  # the byte of a gain of 1 and no offset
PLANES = MOST - LEAST + 1


@dataclass(frozen=True, eq=False)
class Nested:
    """A matrix in so many bits.

    Attributes:
        codes: (rows, columns), below 2 ** bits.
        bits: 2 to 8.
        cells: (rows, groups), how far apart levels of two bits are.
        starts: (rows, groups), what the lowest code of eight bits stands for.
        fits: by width, (rows, groups): a gain below, an offset above; widths without one have none.
    """

    codes: U8
    bits: int
    cells: F16
    starts: F16
    fits: Mapping[int, U8] = field(default_factory=dict)

    def top(self, bits: int) -> Nested:
        """The same matrix in fewer bits.

        Raises:
            InputError: it is not held in so many.
        """
        if not LEAST <= bits <= self.bits:
            raise InputError("not held in so many bits", needed=f"{LEAST} to {self.bits}", had=str(bits))
        fits = {width: each for width, each in self.fits.items() if width <= bits}
        return replace(self, codes=self.codes >> np.uint8(self.bits - bits), bits=bits, fits=fits)

    def matrix(self) -> F32:
        """What the codes stand for."""
        slopes, bases = self._line()
        return _spread(slopes, self.codes) * self.codes + _spread(bases, self.codes)

    def product(self, x: F64) -> F64:
        """x · matrixᵀ, without the matrix: bit by bit, Σ 2ᵏ · (x · planeₖ), group by group.

        Exactly what whole numbers give, as far as float64 holds them; else equal up to rounding.
        """
        groups = self.cells.shape[1]
        slopes, bases = self._line()
        apart = x.reshape(len(x), groups, -1)
        found: F64 = np.einsum("ngc,rg->nr", apart, bases.astype(np.float64))
        for bit in range(self.bits):
            plane = ((self.codes >> np.uint8(bit)) & 1).reshape(len(self.codes), groups, -1)
            parts = np.einsum("ngc,rgc->nrg", apart, plane.astype(np.float64))
            found += 2.0**bit * np.einsum("nrg,rg->nr", parts, slopes.astype(np.float64))
        return found

    def _line(self) -> tuple[F32, F32]:
        """(rows, groups): a weight is the first times its code, and the second."""
        fit = self.fits.get(self.bits)
        return line(
            self.bits, self.cells, self.starts, np.full(self.cells.shape, PLAIN, np.uint8) if fit is None else fit
        )


def line(bits: int, cells: F16, starts: F16, fit: U8) -> tuple[F32, F32]:
    """Slope and base of the levels of a width: level = slope · code + base.

    In steps of the finest grid a cell of this width is 2^(8−b) wide, and without a fit its level is its middle.
    """
    wide, middle = 2.0 ** (MOST - bits), (2**bits - 1) / 2
    gain, offset = unpacked_fit(bits, fit)
    step = cells.astype(np.float32) / np.float32(2 ** (MOST - LEAST))
    slope = step * np.float32(wide) * gain
    base = step * (
        np.float32(wide) * (np.float32(middle) * (1 - gain) + np.float32(0.5) + offset) - np.float32(0.5)
    )
    return slope, base + starts.astype(np.float32)


def unpacked_fit(bits: int, fit: U8) -> tuple[F32, F32]:
    """Gain about the middle code, and offset in cells."""
    gain = 1 - (fit & 15).astype(np.float32) / np.float32(8 * 2**bits)
    return gain, ((fit >> 4).astype(np.float32) - np.float32(8)) / np.float32(32)


def packed_gain(bits: int, gain: F64) -> U8:
    """The nearest gain there is."""
    found: U8 = np.clip(np.rint((1 - gain) * 8 * 2**bits), 0, 15).astype(np.uint8)
    return found


def packed_offset(offset: F64) -> U8:
    """The nearest offset there is, where it belongs in the byte."""
    found: U8 = (np.clip(np.rint(offset * 32) + 8, 0, 15).astype(np.uint8)) << np.uint8(4)
    return found


def plane_of(bits: int) -> int:
    """The last plane that a width needs; it needs all before."""
    return bits - LEAST


def plane(found: Nested, number: int) -> dict[str, NDArray[Any]]:
    """What is stored of a matrix of eight bits under a plane's number.

    Raises:
        InputError: there is no such plane, or not all bits are here.
    """
    if not 0 <= number < PLANES or found.bits != MOST:
        raise InputError(
            "no such plane", needed=f"0 to {PLANES - 1} of {MOST} bits", had=f"{number} of {found.bits}"
        )
    bits = number + LEAST
    own = found.codes >> np.uint8(MOST - bits)
    streams: dict[str, NDArray[Any]] = {"codes": packed(own, LEAST) if not number else packed(own & np.uint8(1), 1)}
    if not number:
        streams |= {"cells": found.cells, "starts": found.starts}
    return streams | ({"fit": found.fits[bits]} if bits in found.fits else {})


def whole(found: Nested) -> dict[str, NDArray[Any]]:
    """What is stored of a matrix that stands alone in its bits: a copy, of which no other width is made."""
    fit = {"fit": found.fits[found.bits]} if found.bits in found.fits else {}
    return {"codes": packed(found.codes, found.bits), "cells": found.cells, "starts": found.starts, **fit}


def alone(streams: Streams, bits: int, shape: tuple[int, int]) -> Nested:
    """What `whole` has stored; the first plane is such a one of two bits.

    Raises:
        ModelError: it is cut off, or of another matrix.
    """
    cells, starts = streams["cells"], streams["starts"]
    groups = shape[1] // min(GROUP, shape[1])
    if cells.shape != (shape[0], groups) or starts.shape != cells.shape:
        raise ModelError(
            "the grid is of another matrix", needed=f"{shape[0]} × {groups} groups", had=str(cells.shape)
        )
    return Nested(_codes(streams, bits, shape), bits, cells, starts, _fits(streams, bits))


def grown(held: Nested, streams: Streams) -> Nested:
    """One plane more.

    Raises:
        ModelError: it is cut off, or there is none after what is held.
    """
    if held.bits == MOST or "cells" in streams:
        raise ModelError("not the plane that comes next", needed=f"a bit below {held.bits}")
    low = _codes(streams, 1, held.codes.shape)
    bits = held.bits + 1
    return replace(
        held, codes=(held.codes << np.uint8(1)) | low, bits=bits, fits={**held.fits, **_fits(streams, bits)}
    )


def joined(planes: Iterable[Streams], shape: tuple[int, int]) -> Nested:
    """A matrix of its planes, in order from the first.

    Raises:
        ModelError: the first is missing, or one is cut off.
    """
    first, *others = planes
    if "cells" not in first:
        raise ModelError("the first plane is missing", hint="a width needs all planes before its own")
    found = alone(first, LEAST, shape)
    for each in others:
        found = grown(found, each)
    return found


def _codes(streams: Streams, bits: int, shape: tuple[int, ...]) -> U8:
    try:
        return unpacked(streams["codes"], bits, shape[0] * shape[1]).reshape(shape)
    except InputError as fault:
        raise ModelError(f"a plane is damaged: {fault.message}") from fault


def _fits(streams: Streams, bits: int) -> dict[int, U8]:
    return {bits: streams["fit"]} if "fit" in streams else {}


def _spread(each: F32, codes: U8) -> F32:
    """One number a group for all its columns."""
    return np.repeat(each, codes.shape[1] // each.shape[1], axis=1)
