"""Engines that multiply in tiles, from main memory through buffers to a vector unit: instructions, cycles, events, energy."""

from shoal.machines.tiles._groups import groups_of, works_of
from shoal.machines.tiles.contract import Group, Instruction, Ran, Tiles, Widths, Work
from shoal.machines.tiles.tile_engine import TileEngine

__all__ = [
    "Group",
    "Instruction",
    "Ran",
    "TileEngine",
    "Tiles",
    "Widths",
    "Work",
    "groups_of",
    "works_of",
]
