"""The machines at hand: devices with their units, the links between them, and a catalog of real boards."""

from __future__ import annotations

from shoal.fleet.boards import (
    BoardFigure,
    board,
    board_figures,
    board_sources,
    board_title,
)
from shoal.fleet.files import board_names
from shoal.fleet.load import load, loads
from shoal.fleet.save import dumps, save
from shoal.fleet.values import Coupling, Device, Fleet, Lifecycle, Link, MacArray, OperatingPoint, Unit

__all__ = [
    "BoardFigure",
    "Coupling",
    "Device",
    "Fleet",
    "Lifecycle",
    "Link",
    "MacArray",
    "OperatingPoint",
    "Unit",
    "board",
    "board_figures",
    "board_names",
    "board_sources",
    "board_title",
    "dumps",
    "load",
    "loads",
    "save",
]
