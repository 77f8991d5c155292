"""Any values, the same for all, with a scale: for hardware that is quick with some numbers. Source: HALO, arXiv 2502.19662."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.formats._grid import Grid, GridFormat

_SEARCHED = 50
_WIDEST = 16.0  # times the scale with which nothing clips


@dataclass(frozen=True)
class Codebook(GridFormat):
    """x = s · v with v of `values`. Short: "pow2" (0, ±1, ±2 … ±64)."""

    values: str = "-2/-1/0/1/2"  # the numbers there are, between strokes; 2 to 256 of them
    group: int = 0  # columns that share a scale: 0 a row, -1 all
    clip: int = (
        _SEARCHED  # scales tried, from 0.3 of that with which nothing clips up to where the largest are unused
    )

    def __post_init__(self) -> None:
        numbers = self._numbers()
        if not 2 <= len(numbers) <= 256 or not all(map(math.isfinite, numbers)) or numbers[-1] <= 0:
            raise InputError(
                "no codebook", where="codebook", needed="2 to 256 finite numbers, one above 0", had=self.values[:60]
            )

    @cached_property
    def grid(self) -> Grid:
        """The values."""
        numbers = self._numbers()
        return Grid(numbers, max(1, math.ceil(math.log2(len(numbers)))))

    def shares(self) -> NDArray[np.float32]:
        """See `GridFormat.shares`. Where values stand denser near zero, they may serve best without the largest."""
        steps = np.diff(self.grid.array)
        most = min(_WIDEST, max(1.0, float(steps.max() / steps.min())))
        return np.geomspace(0.3, most, self.clip, dtype=np.float32)

    def _numbers(self) -> tuple[float, ...]:
        try:
            return tuple(sorted({float(np.float32(part)) for part in self.values.split("/")}))
        except ValueError as fault:
            raise InputError("no codebook", where="codebook", needed="numbers between strokes",
                             had=self.values[:60]) from fault  # fmt: skip


def codebook(values: tuple[float, ...], group: int = 0) -> Codebook:
    """The codebook of these values."""
    return Codebook("/".join(f"{value:g}" for value in sorted(set(values))), group)


def short(name: str) -> Codebook | None:
    """The format of a short name, if it is one of these."""
    if name != "pow2":
        return None
    powers = [2.0**power for power in range(7)]
    return codebook((0.0, *powers, *(-power for power in powers)))
