"""Whether a plan of clocks is legal: no tile holds a weight that is slower than its clock. Reads what is stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.compress.halo_tiles import Place, unpack
from shoal.formats import Streams
from shoal.formats.codebook import Codebook
from shoal.machines.multipliers import Clocks


@dataclass(frozen=True)
class TooSlow:
    """A weight that does not keep its tile's clock."""

    tile: Place
    weight: int
    delay: float  # gate delays
    allowed: float


def too_slow(
    streams: Streams, shape: tuple[int, int], side: int, forms: tuple[Codebook, ...], clocks: Clocks
) -> tuple[TooSlow, ...]:
    """The weights of the packed matrix that are slower than their tile's clock; none: the plan is legal.

    Args:
        streams: as `pack` gives them.
        shape: of the matrix.
        side: of its tiles.
        forms: the codebook of each level, as it was coded with.
        clocks: the clock of each level, and the multiplier's delays.

    Raises:
        InputError: the bytes are not of such a matrix, or hold a number that is no weight of the multiplier.
    """
    tiled = unpack(streams, shape, side, forms)
    found: list[TooSlow] = []
    for place in tiled.tiles:
        allowed = clocks.allowed(clocks.levels[int(tiled.levels[place])]) + 1e-9
        weights = np.unique(tiled.numbers(place))
        delays = clocks.table.delay[clocks.table.place(weights)]
        found += [TooSlow(place, int(weight), float(delay), allowed)
                  for weight, delay in zip(weights, delays, strict=True) if delay > allowed]  # fmt: skip
    return tuple(found)
