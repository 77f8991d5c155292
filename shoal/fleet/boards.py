"""The catalog of boards: one TOML file each, every figure with its source."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal.catalog import nearest
from shoal.errors import FleetError
from shoal.fleet.faults import refuse
from shoal.fleet.values import Device

FOLDER = Path(__file__).parent / "boards"
THIS_MACHINE = "this-machine"  # not a file: nominal figures of wherever shoal runs


@dataclass(frozen=True)
class BoardFigure:
    """One figure of a board as its file has it."""

    key: str  # "units.cpu.peak.float32"
    value: str  # "48 Gflop/s"
    source: str


def board_names() -> tuple[str, ...]:
    """The boards of the catalog, sorted."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.toml")))


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


def board_table(name: str) -> Mapping[str, Any]:
    """The board's file as it stands, unchecked.

    Raises:
        FleetError: no such board.
    """
    if name == THIS_MACHINE:
        from shoal.fleet.nominal import describe

        return describe()
    if name not in board_names():
        known = (*board_names(), THIS_MACHINE)
        raise FleetError(f"no board is called '{name}'", hint=nearest(name, known))
    return _read(name)


@functools.cache
def _read(name: str) -> Mapping[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


_WORDS = ("title", "sources", "engines")


def _figures(table: Mapping[str, Any], at: str) -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict) and key not in _WORDS:
            yield from _figures(value, f"{at}{key}.")
        elif key not in _WORDS:
            yield f"{at}{key}", value
