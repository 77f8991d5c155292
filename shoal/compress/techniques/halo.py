"""Weights whose products are quick, and the clock that this allows each tile. Source: HALO, arXiv 2502.19662.

Its integer programme over tiles of one layer is `compress.halo`; a format for each layer by what an array takes for it is
chosen by `shoal plan --formats`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.compress.contract import Seen, Work
from shoal.compress.halo_tiles import parts
from shoal.compress.techniques.gptq import Gptq
from shoal.errors import InputError
from shoal.formats import make
from shoal.machines.arrays import Pace, pace_of
from shoal.machines.multipliers import Supply


@dataclass(frozen=True)
class Halo:
    """Rounds as `gptq` does, to whole numbers that a multiplier is quick with; tells each layer's clocks and energy."""

    format: str = "pow2"  # `shoal mac-table --bound` names others
    multiplier: str = "booth_ks_sm"  # of `machines/multipliers`, simulated gate by gate
    side: int = 128  # of a tile, weights
    damp: float = 0.01  # see `gptq`

    needs_samples = True

    def apply(self, work: Work, seen: Seen | None, group: int) -> Work:
        """See `Technique.apply`."""
        grid = getattr(make(self.format), "grid", None)
        if grid is None or not (np.rint(grid.array) == grid.array).all():
            raise InputError("its weights are no whole numbers", where="halo", needed="pow2, a codebook of such, int4",
                             had=self.format)  # fmt: skip
        done = Gptq(self.format, self.damp).apply(work, seen, group)
        assert done.coded is not None
        numbers = grid.array[done.coded.codes].astype(np.int16)
        note = "; ".join(filter(None, (done.note, self._told(self._paces(numbers)))))
        return replace(done, note=note)

    def _paces(self, numbers: NDArray[np.int16]) -> list[Pace]:
        shape = numbers.shape[0], numbers.shape[1]
        return [pace_of(self.multiplier, numbers[part]) for _, part in parts(shape, self.side)]

    def _told(self, paces: list[Pace]) -> str:
        """Clocks of the tiles over that of all weights, or the voltages with which these keep it; energy of a product."""
        clocks, supply = [each.clock for each in paces], Supply()
        volts = [supply.volts(1 / clock) for clock in clocks]
        effort = float(np.mean([each.effort for each in paces]))
        return (
            f"{len(paces)} tiles on {self.multiplier}: clock × {_span(clocks)}, or {_span(volts)} V in place of "
            f"{supply.nominal_v:g} V; energy of a product × {effort:.2f}"
        )


def _span(figures: list[float]) -> str:
    low, high = f"{min(figures):.2f}", f"{max(figures):.2f}"
    return low if low == high else f"{low} to {high}"
