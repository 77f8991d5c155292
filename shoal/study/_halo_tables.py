"""What HALO's multipliers are held against: delays, clocks and codebooks of the reference model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from shoal.study import Chart, Finding, Series, Shown, Table

if TYPE_CHECKING:
    from shoal.machines.multipliers import MacTable

NINE = {0, 1, 4, 5, 16, 17, 20, 64, 65}  # the reference model's quickest
BOOKS = {"9 quickest": 0.53, "±9": 0.063, "32 quickest": 0.0197, "±32": 0.0041, "pow2": 0.036, "int3s": 0.082,
         "int4s": 0.0128, "int8s": 0.00006}  # fmt: skip
NORMAL = (128, 1024)


def multipliers(tables: dict[str, MacTable]) -> Iterator[Shown]:
    """The gate-level tables against the reference model's figures."""
    from shoal.machines.multipliers import products_right

    rows: list[tuple[str | float, ...]] = []
    right, below = [], []
    for name, table in tables.items():
        right.append(products_right(name))
        below.append(bool((table.delay <= table.bound + 1e-9).all()))
        ratios = [table.slowest / _delay(table, count) for count in (9, 32, 64)]
        clocks = [clock_of(table, count) for count in (9, 32, 64)]
        rows.append((name, table.slowest, *ratios, *clocks, _energy(table, 16)))
    yield Finding("products", all(right), "computed", len(right))
    yield Finding("bound", all(below), "computed", len(below))
    heads = ("multiplier", "slowest", *(f"delay ÷ of {n}" for n in (9, 32, 64)),
             *(f"clock of {n}, ×" for n in (9, 32, 64)), "energy of 16, ×")  # fmt: skip
    yield Table("Multipliers", heads, rows, "so many quickest weights; clocks with 5 gate delays besides")
    own = tables["booth_ks"]
    yield Finding("slowest", own.slowest, "simulated", len(own.weights))
    yield Finding("nine", set(own.fastest(9)) == NINE, "simulated", 9)
    for count in (9, 32, 64):
        yield Finding(f"delay_{count}", _delay(own, count), "simulated", count)
        yield Finding(f"clock_{count}", clock_of(own, count), "simulated", count)
    yield Finding("energy_16", _energy(own, 16), "simulated", 16)
    for key, name in (("ripple", "booth_ripple"), ("array", "array")):
        yield Finding(key, tables[name].slowest / _delay(tables[name], 9), "simulated", len(tables[name].weights))
    some = tuple(Series(name, table.weights.tolist(), table.delay.tolist()) for name, table in tables.items())
    yield Chart("Delay of each weight", "weight", "gate delays", some, kind="points")


def books(table: MacTable, seed: int) -> Iterator[Shown]:
    """What codebooks lose of normal weights, a scale a row, against the reference model's figures."""
    from shoal.formats import make, quantise, restored
    from shoal.formats._grid import GridFormat

    weights = np.random.default_rng(seed).standard_normal(NORMAL).astype(np.float32)
    rows = []
    for name, reference in BOOKS.items():
        form = make(_book(table, name))
        made = restored(form, quantise(form, weights))
        error = float(((made - weights) ** 2).mean() / (weights**2).mean())
        assert isinstance(form, GridFormat)
        values = len(form.grid.values)
        rows.append((name, values, error, reference, 100 * abs(error / reference - 1)))
    off = max(row[-1] for row in rows if not row[0].startswith("int"))
    yield Finding("books", off, "computed", len(rows), why="the whole numbers stand beside them and are not judged")
    heads = ("codebook", "values", "squared error", "reference", "off, %")
    yield Table("What codebooks lose of normal weights", heads, rows)


def _delay(table: MacTable, count: int) -> float:
    """The longest of so many quickest weights."""
    return float(np.sort(table.delay)[count - 1])


def clock_of(table: MacTable, count: int) -> float:
    """With so many quickest weights over that with all, no guard band."""
    from shoal.machines.multipliers import Margins

    margins = Margins(guard=0.0)
    return margins.period(table.slowest) / margins.period(_delay(table, count))


def _energy(table: MacTable, count: int) -> float:
    """Mean of so many quickest weights over that of all."""
    some = np.array(table.fastest(count))
    return float(table.energy[table.place(some)].mean() / table.energy.mean())


def _book(table: MacTable, name: str) -> str:
    """The name of the format of one of `BOOKS`."""
    from shoal.compress.halo import format_name

    if name[0].isalpha():
        return name
    weights = table.fastest(int("".join(filter(str.isdigit, name))))
    return format_name({sign * abs(each) for each in weights for sign in (-1, 1)} if name[0] == "±" else weights)
