"""Arrays of multipliers that hold weights still: time and energy of layers that come in tiles."""

from shoal.machines.arrays._products import Pace, array_of, pace_of, passed, takes
from shoal.machines.arrays.contract import Passed, Tile, TiledArray
from shoal.machines.arrays.systolic import Systolic, level_order

__all__ = [
    "Pace",
    "Passed",
    "Systolic",
    "Tile",
    "TiledArray",
    "array_of",
    "level_order",
    "pace_of",
    "passed",
    "takes",
]
