"""What an array of multipliers is asked to do, and what that takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Tile:
    """A part of a layer's weights that an array holds at a time."""

    inputs: int  # rows of the array that it takes: what products sum over
    outputs: int  # columns of the array
    level: int  # tiles of one level are run one after another
    clock: float  # over base clock
    volts: float  # over nominal voltage
    stored_bytes: float  # what is loaded of it
    effort: float  # energy of its products over that of usual products, the mean of all weights
    beside: int = 0  # weights that are multiplied elsewhere, in full


@dataclass(frozen=True)
class Passed:
    """What layers took."""

    seconds: float
    switches: int  # of the clock
    memory_bound: float  # share of the tiles' time in which memory decides
    energy_j: Mapping[str, float]  # by component

    @property
    def joules(self) -> float:
        """All components."""
        return sum(self.energy_j.values())


class TiledArray(Protocol):
    """A technique of `machines/arrays`: its fields are structure and energies of single operations."""

    @property
    def switch_s(self) -> float:
        """Seconds of a change of the clock."""

    def tile_s(self, tile: Tile, places: int) -> float:
        """Seconds of a tile with so many inputs streaming through it."""

    def passed(self, layers: Sequence[Sequence[Tile]], places: int) -> Passed:
        """Layers one after another, each with so many inputs.

        Raises:
            InputError: no tiles, or one that is larger than the array.
        """
