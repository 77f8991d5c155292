"""A coded matrix made ready for products on its codes, where there are kernels for its format."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.formats import Coded, Format
from shoal.formats.binary import Binary
from shoal.formats.integer import Integer
from shoal.formats.planes import Planes
from shoal.formats.ternary import Ternary
from shoal.kernels import lookup, trits
from shoal.kernels.lowbit import LowBit, fits, joined, plane, row_group

F32 = NDArray[np.float32]


class Weights(Protocol):
    """A matrix ready for products."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def taken_columns(self) -> int:
        """Columns that share an activation scale."""

    @property
    def bytes(self) -> int:
        """What a product reads."""

    def product(self, x: F32, path: str = "", threads: int = 1) -> F32:
        """See `LowBit.product`."""


def ready(form: Format, coded: Coded) -> Weights | None:
    """`coded` for products; None where there is no kernel for the format or its groups.

    Ternary weights stay in 1.6 or 1.67 bits where a row has one scale; with scales for groups they take two. Where the
    whole matrix has one, as in BitNet, activations have one a token, as there.
    """
    match form:
        case Integer():
            return _whole(form, coded)
        case Ternary() if form.group < 1 and form.packing != "2":
            packed = trits.fives if form.packing == "5in8" else trits.threes
            scales = np.ascontiguousarray(_rows(coded, "scales")[:, 0])
            return packed(coded.codes, scales, by_token=form.group < 0)
        case Ternary() if fits(2, form.group):
            return LowBit((plane(coded.codes, 2, _group(form), _rows(coded, "scales"), zero=1),))
        case Binary() if fits(1, form.group):
            scales = _rows(coded, "scales")
            return joined([plane(coded.codes, 1, _group(form), 2 * scales)], _offsets(-scales, coded, form))
        case Planes() if lookup.fits(form.group, coded.codes.shape[1]):
            return _planes(form, coded)
        case _:
            return None


def _whole(form: Integer, coded: Coded) -> LowBit | None:
    """Whole numbers; those of three bits and of five to seven stand in the next larger field."""
    bits = next(each for each in (2, 4, 8) if each >= form.bits)
    if not fits(bits, form.group):
        return None
    zeros = _rows(coded, "zeros").astype(np.uint8) if form.affine else None
    return LowBit(
        (plane(coded.codes, bits, _group(form), _rows(coded, "scales"), zeros, -int(form.grid.values[0])),)
    )


def _planes(form: Planes, coded: Coded) -> lookup.Lookup:
    rows, scales = coded.codes.shape[0], coded.params["scales"]
    bits = np.stack([(coded.codes >> number) & 1 for number in range(form.bits)])
    return lookup.lookup(
        bits, _group(form), np.broadcast_to(scales, (rows, *scales.shape[1:])), _rows(coded, "zeros")
    )


def _group(form: Format) -> int:
    return max(form.group, 0)


def _rows(coded: Coded, name: str) -> F32:
    """A parameter, one at least for each row."""
    each = coded.params[name]
    return np.broadcast_to(each, (coded.codes.shape[0], each.shape[1])).astype(np.float32)


def _offsets(each: F32, coded: Coded, form: Format) -> F32:
    """What is added to every weight, for each group of activations."""
    if form.group > 0:
        return each
    return np.repeat(each, -(-coded.codes.shape[1] // row_group(1)), axis=1)
