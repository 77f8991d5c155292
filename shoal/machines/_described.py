"""A machine's description: each figure with its unit, where it is from, and how certain it is. One TOML file a machine."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from shoal.errors import InputError
from shoal.units import parse

_DESCRIBED = "described"  # in a field's metadata: file and name
CERTAINTIES = ("measured", "datasheet", "paper", "recalled", "assumed")
UNITS = {
    "bytes_per_s": "byte/second",
    "bytes": "byte",
    "hz": "hertz",
    "s": "second",
    "w": "watt",
}  # by a name's end


@dataclass(frozen=True)
class Figure:
    """One figure of a description."""

    value: float  # in the SI unit that its name ends in; a whole number where there is no unit
    source: str
    certainty: str  # one of CERTAINTIES
    written: str  # as in the file: "34 GB/s"


def described(file: Path, name: str) -> Any:
    """The field of a machine whose default stands in its description; the file is read when a machine is made."""
    return field(default_factory=lambda: figures(file)[name].value, metadata={_DESCRIBED: (file, name)})


def figures_of(machine: type[Any]) -> dict[str, Figure]:
    """The figures of a machine's fields that are `described`, by field, in their order.

    Raises:
        InputError: a description cannot be read.
    """
    found = {each.name: each.metadata.get(_DESCRIBED) for each in fields(machine)}
    return {name: figures(place[0])[place[1]] for name, place in found.items() if place}


def title(file: Path) -> str:
    """What is described, in words.

    Raises:
        InputError: no TOML.
    """
    return str(_read(file).get("title", file.stem))


@cache
def figures(file: Path) -> dict[str, Figure]:
    """All figures of a description by name.

    Raises:
        InputError: no TOML, or a figure without value, source or one of the certainties.
        UnitError: a value without the unit that its name ends in.
    """
    return {name: _figure(name, entry, file) for name, entry in _read(file).get("figures", {}).items()}


@cache
def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as fault:
        raise InputError(f"cannot read the machine's description: {fault}", where=str(file)) from fault


def _figure(name: str, entry: Any, file: Path) -> Figure:
    if not isinstance(entry, dict) or set(entry) != {"value", "source", "certainty"}:
        raise InputError(f"'{name}' is no figure", where=str(file), needed="value, source and certainty")
    if entry["certainty"] not in CERTAINTIES:
        raise InputError(f"'{name}' has no certainty", where=str(file), needed=", ".join(CERTAINTIES),
                         had=str(entry["certainty"]))  # fmt: skip
    return Figure(_value(name, entry["value"], file), str(entry["source"]), entry["certainty"], str(entry["value"]))


def _value(name: str, written: object, file: Path) -> float:
    unit = next((unit for end, unit in UNITS.items() if name.endswith(f"_{end}")), None)
    if unit:
        value = parse(written, unit)
        return int(value) if unit == "byte" else value
    if not isinstance(written, int):
        raise InputError(f"'{name}' is no whole number", where=str(file), had=repr(written))
    return written
