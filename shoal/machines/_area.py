"""What a cell takes of a die, from published libraries: the one place where such figures stand (area.csv)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shoal.catalog import nearest
from shoal.errors import InputError

FILE = Path(__file__).with_name("area.csv")


@dataclass(frozen=True)
class AreaRow:
    """One figure of the table, of one bit; ranges stay ranges."""

    item: str  # "full adder", "register"
    node_nm: int
    low: float
    high: float
    unit: str  # "um2"
    source: str
    certainty: str  # "paper", "recalled" (from memory of the source), "assumed"

    @property
    def area_mm2(self) -> float:
        """The middle of the range, in square millimetres."""
        return (self.low + self.high) / 2 * 1e-6


@lru_cache(maxsize=1)
def area_table() -> tuple[AreaRow, ...]:
    """Every row, in the file's order."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return tuple(
            AreaRow(each["item"], int(each["node_nm"]), float(each["low"]), float(each["high"]), each["unit"],
                    each["source"], each["certainty"])
            for each in csv.DictReader(file)
        )  # fmt: skip


def area(item: str, node_nm: int = 45) -> AreaRow:
    """The row of a cell. Rows of several nodes are not to be mixed.

    Raises:
        InputError: there is none; the hint names the nearest item.
    """
    for row in area_table():
        if (row.item, row.node_nm) == (item, node_nm):
            return row
    known = dict.fromkeys(row.item for row in area_table())
    raise InputError(f"no area is known of '{item}' at {node_nm} nm", hint=nearest(item, known))
