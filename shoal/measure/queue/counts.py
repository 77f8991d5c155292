"""What a call asks of a device: arithmetic and bytes, from the shapes of its tensors alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_PRODUCTS = {"aten.mm.default": 0, "aten.bmm.default": 0, "aten.addmm.default": 1, "aten.baddbmm.default": 1}
_GATHERS = ("aten.embedding.default", "aten.index_select.default", "aten.gather.default")


@dataclass(frozen=True)
class Work:
    """What one kernel asks of a device."""

    name: str  # the op: "aten.mm.default"
    flop: float
    moved_bytes: float  # read and written, each tensor once
    product: bool = False  # of matrices, for which devices have units of their own


def work_of(op: str, given: Sequence[Tensor], made: Sequence[Tensor]) -> Work:
    """Arithmetic and bytes of one call.

    A product of matrices (m, k) and (k, n) has 2·m·k·n operations. All else has one for each value that it reads or
    writes, whichever are more; what reads chosen rows of a table reads as much as it gives.
    """
    made_values = sum(map(_values, made))
    if op in _PRODUCTS:
        inner = given[_PRODUCTS[op]].shape[-1]
        flop = 2.0 * inner * made_values
    else:
        flop = float(max(made_values, max(map(_values, given), default=0)))
    read = made if op in _GATHERS else given
    moved = sum(_values(each) * each.element_size() for each in (*read, *made))
    return Work(op, flop, float(moved), op in _PRODUCTS)


def _values(tensor: Tensor) -> int:
    """Values in memory: what is the same along an axis is there once."""
    return prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or size == 0)
