"""Arrays of multipliers that hold weights still: time and energy of layers that come in tiles."""

from shoal.machines.arrays.contract import Passed, Tile, TiledArray
from shoal.machines.arrays.systolic import Systolic, level_order

__all__ = ["Passed", "Systolic", "Tile", "TiledArray", "level_order"]
