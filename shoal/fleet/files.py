"""The files of the boards, as they stand."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shoal.catalog import nearest
from shoal.errors import FleetError

FOLDER = Path(__file__).parent / "boards"
THIS_MACHINE = "this-machine"  # not a file: nominal figures of wherever shoal runs


def board_names() -> tuple[str, ...]:
    """The boards of the catalog, sorted."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.toml")))


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
