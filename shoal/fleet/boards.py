"""The catalog of boards: one TOML file each, every figure with its source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shoal.fleet.faults import refuse
from shoal.fleet.files import board_table
from shoal.fleet.values import Device


@dataclass(frozen=True)
class BoardFigure:
    """One figure of a board as its file has it."""

    key: str  # "units.cpu.peak.float32"
    value: str  # "48 Gflop/s"
    source: str


def board(name: str) -> Device:
    """The board `name` as a device of that name, or "this-machine" with nominal figures.

    Raises:
        FleetError: no such board; the hint names the nearest.
    """
    from shoal.fleet.devices import device_of
    from shoal.fleet.schema import DeviceRow, check

    row, faults = check(DeviceRow, {**board_table(name), "board": name})
    if row is None:
        refuse(faults, name)
        raise AssertionError("a refused board has faults")
    return device_of(name, row)


def board_title(name: str) -> str:
    """What the board is, in words ("Raspberry Pi 4 Model B, 4 GB").

    Raises:
        FleetError: no such board.
    """
    return str(board_table(name)["title"])


def board_sources(name: str) -> Mapping[str, str]:
    """Key path of each figure ("units.cpu.peak.float32") -> where it comes from.

    Raises:
        FleetError: no such board.
    """
    sources: Mapping[str, str] = board_table(name)["sources"]
    return sources


def board_figures(name: str) -> tuple[BoardFigure, ...]:
    """Every figure of the board as written, with its source, in the order of the file.

    Raises:
        FleetError: no such board.
    """
    table = board_table(name)
    return tuple(BoardFigure(key, str(value), table["sources"].get(key, "")) for key, value in _figures(table, ""))


_WORDS = ("title", "sources", "engines")


def _figures(table: Mapping[str, Any], at: str) -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict) and key not in _WORDS:
            yield from _figures(value, f"{at}{key}.")
        elif key not in _WORDS:
            yield f"{at}{key}", value
