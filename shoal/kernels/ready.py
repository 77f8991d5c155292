"""A coded matrix made ready for products on its codes, where there are kernels for its format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal.formats import Coded, Format
from shoal.formats.binary import Binary
from shoal.formats.integer import Integer
from shoal.formats.planes import Planes
from shoal.formats.ternary import Ternary
from shoal.kernels.lowbit import LowBit, fits, joined, plane, row_group

F32 = NDArray[np.float32]


def ready(form: Format, coded: Coded) -> LowBit | None:
    """`coded` for products; None where there is no kernel for the format or its groups."""
    match form:
        case Integer():
            return _whole(form, coded)
        case Ternary() if fits(2, form.group):
            return LowBit((plane(coded.codes, 2, _group(form), _rows(coded, "scales"), zero=1),))
        case Binary() if fits(1, form.group):
            scales = _rows(coded, "scales")
            return joined([plane(coded.codes, 1, _group(form), 2 * scales)], _offsets(-scales, coded, form))
        case Planes() if fits(1, form.group):
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


def _planes(form: Planes, coded: Coded) -> LowBit:
    rows = coded.codes.shape[0]
    scales = coded.params["scales"]
    each = [
        plane(
            ((coded.codes >> number) & 1).astype(np.uint8), 1, _group(form),
            np.broadcast_to(scales[..., number], (rows, scales.shape[1])),
        )
        for number in range(form.bits)
    ]  # fmt: skip
    return joined(each, _offsets(_rows(coded, "zeros"), coded, form))


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
