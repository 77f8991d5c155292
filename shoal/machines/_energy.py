"""What an operation takes, from published tables: the one place where such figures stand (energy.csv)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from shoal.catalog import nearest
from shoal.errors import InputError

FILE = Path(__file__).with_name("energy.csv")


@dataclass(frozen=True)
class EnergyRow:
    """One figure of the table, as it was published; ranges stay ranges."""

    item: str  # "int", "float", "sram 8 KB", "dram"
    op: str  # "add", "mul", "read", "move"
    bits: int  # of one operation
    node_nm: int
    voltage_v: float | None  # none: not published
    low: float
    high: float
    unit: str  # "pJ", "pJ/mm"
    source: str
    certainty: str  # "paper", "recalled" (from memory of the source), "assumed"

    @property
    def energy_j(self) -> float:
        """The middle of the range, in joules (per millimetre where the unit says so)."""
        return (self.low + self.high) / 2 * 1e-12


@lru_cache(maxsize=1)
def energy_table() -> tuple[EnergyRow, ...]:
    """Every row, in the file's order."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return tuple(_row(each) for each in csv.DictReader(file))


def energy(item: str, op: str, bits: int, node_nm: int = 45) -> EnergyRow:
    """The row of an operation. Rows of several nodes are not to be mixed.

    Raises:
        InputError: there is none; the hint names those of the item, or the items.
    """
    rows = [row for row in energy_table() if row.item == item]
    if not rows:
        known = dict.fromkeys(row.item for row in energy_table())
        raise InputError(f"no energy is known of '{item}'", hint=nearest(item, known))
    for row in rows:
        if (row.op, row.bits, row.node_nm) == (op, bits, node_nm):
            return row
    had = ", ".join(f"{row.op} of {row.bits} bits at {row.node_nm} nm" for row in rows)
    raise InputError(f"no energy is known of '{item}' so", needed=f"{op} of {bits} bits at {node_nm} nm", had=had)


def _row(each: dict[str, str]) -> EnergyRow:
    return EnergyRow(
        each["item"], each["op"], int(each["bits"]), int(each["node_nm"]),
        float(each["voltage_v"]) if each["voltage_v"] else None, float(each["low"]), float(each["high"]),
        each["unit"], each["source"], each["certainty"],
    )  # fmt: skip
