"""Show which weights a multiplier is quick with."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from shoal.cli import options
from shoal.errors import InputError

if TYPE_CHECKING:
    from shoal.machines.multipliers import MacTable, Margins

EXAMPLES = (
    "shoal mac-table",
    "shoal mac-table --multiplier booth_ripple --all",
    "shoal mac-table --multiplier booth_ks_sm --bound 13.7",
    "shoal mac-table --multiplier booth_ks:fixed=true --json",
)
FASTEST = 32
BOOKS = 12  # bounds shown


def command(
    multiplier: Annotated[
        str, typer.Option(metavar="NAME", help="array, booth_ks, booth_ks_sm, booth_ripple, with options")
    ] = "booth_ks",
    bound: Annotated[
        float, typer.Option(metavar="DELAYS", help="show the weights that take no longer, in gate delays; 0: no")
    ] = 0.0,
    fixed: Annotated[float, typer.Option(help="gate delays of a clock period besides the multiplier")] = 5.0,
    guard: Annotated[float, typer.Option(help="share added to the multiplier's delay")] = 0.0,
    all: Annotated[bool, typer.Option("--all", help="every weight, not only the quickest")] = False,
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Show which weights a multiplier is quick with, and what clocks that allows.

    A signed multiplier of 8 × 8 bits is simulated gate by gate: the weight stays, the input goes from any value to any
    other, and every product is checked. Delays and energies are in units of an AND gate's.
    """
    from shoal.machines.multipliers import Margins, mac_table

    if not (isfinite(bound) and bound >= 0):
        raise InputError("no bound on the delay", where="--bound", needed="0 or more gate delays", had=f"{bound:g}")
    table, margins = mac_table(multiplier), Margins(fixed, guard)
    found = [_book(table, each, margins) for each in ([bound] if bound else _bounds(table))]
    if json:
        options.emit(
            {
                "multiplier": table.multiplier,
                "slowest": table.slowest,
                "weights": _weights(table),
                "codebooks": found,
            }
        )
        return
    out = Console(highlight=False)
    if bound:
        out.print(f"{found[0]['weights']} weights take at most {bound:g} gate delays:")
        out.print(" ".join(map(str, found[0]["values"])))
        out.print(f"\n{found[0]['format']}", soft_wrap=True)
        return
    _print(table, found, len(table.weights) if all else FASTEST, out)


def _weights(table: MacTable) -> list[dict[str, float]]:
    columns = (table.weights, table.delay, table.bound, table.energy)
    return [
        {"weight": int(weight), "delay": float(delay), "bound": float(most), "energy": float(energy)}
        for weight, delay, most, energy in zip(*columns, strict=True)
    ]


def _bounds(table: MacTable) -> list[float]:
    """The bounds that make a difference, thinned out."""
    distinct = sorted({float(each) for each in table.delay if each > 0})
    step = max(1, -(-len(distinct) // BOOKS))
    return sorted({*distinct[::step], distinct[-1]})


def _book(table: MacTable, bound: float, margins: Margins) -> dict[str, Any]:
    from shoal.compress.halo import format_name

    values = table.within(bound)
    energy = table.energy[table.place(table.weights[table.delay <= bound + 1e-9])]
    positive = any(each > 0 for each in values)
    return {
        "bound": bound,
        "weights": len(values),
        "both_signs": positive and values[0] < 0,
        "clock": margins.period(table.slowest) / margins.period(bound),
        "energy": float(energy.mean() / table.energy.mean()) if len(values) else 0.0,
        "values": list(values),
        "format": format_name(values) if positive else "",
    }


def _print(table: MacTable, found: list[dict[str, Any]], count: int, out: Console) -> None:
    quickest = Table("weight", "delay", "at most", "energy", box=None, pad_edge=False)
    for weight in table.fastest(count):
        at = weight - int(table.weights[0])
        quickest.add_row(str(weight), f"{table.delay[at]:.1f}", f"{table.bound[at]:.1f}", f"{table.energy[at]:.1f}")
    out.print(
        f"{table.multiplier}: {len(table.weights)} weights, the slowest takes {table.slowest:.1f} gate delays\n"
    )
    out.print(quickest)
    books = Table("bound", "weights", "both signs", "clock", "energy", box=None, pad_edge=False)
    for each in found:
        books.add_row(f"{each['bound']:.1f}", str(each["weights"]), "yes" if each["both_signs"] else "no",
                      f"× {each['clock']:.2f}", f"× {each['energy']:.2f}")  # fmt: skip
    out.print()
    out.print(books)
    out.print("\nclock and energy over those of all weights; --bound shows the weights and the name of their format",
              style="dim")  # fmt: skip
