"""Show the boards and machines known, each number with its source."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shoal import catalog
from shoal.cli import options
from shoal.fleet import BoardFigure, Device, board, board_figures, board_names, board_title
from shoal.machines import figures_of, title
from shoal.machines.accelerators import FAMILY, description
from shoal.units import format_bytes, format_rate

EXAMPLES = (
    "shoal boards",
    "shoal boards raspberry-pi-4b-4gb",
    "shoal boards systolic",
)


def command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="one board or simulated machine, with the source of each number")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Show the boards and machines known, each number with its source."""
    if name in catalog.names(FAMILY):
        _machine(name, json=json)
    elif name:
        _one(name, json=json)
    elif json:
        options.emit({each: _facts(each) for each in board_names()})
    else:
        _all()


def _one(name: str, *, json: bool) -> None:
    figures = board_figures(name)
    if json:
        options.emit({"name": name, "title": board_title(name), "figures": figures})
        return
    out = Console(highlight=False)
    out.print(board_title(name), style="bold")
    keyed = [(*_split(figure.key), figure) for figure in figures]
    widths = max(len(key) for _, key, _ in keyed), max(len(str(figure.value)) for figure in figures)
    for section, rows in groupby(keyed, key=lambda row: row[0]):
        if section:
            out.print(f"\n[{section}]", markup=False)  # as in the board's file
        out.print(_sources(widths, [(key, figure) for _, key, figure in rows]))


def _machine(name: str, *, json: bool) -> None:
    found = figures_of(catalog.find(FAMILY, name))
    if json:
        options.emit({"name": name, "title": title(description(name)), "figures": found})
        return
    out = Console(highlight=False)
    out.print(f"{title(description(name))}; simulated, each figure an option", style="bold")
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    for key, figure in found.items():
        table.add_row(key, figure.written, escape(f"{figure.certainty}: {figure.source}"))
    out.print(table)


def _sources(widths: tuple[int, int], rows: Sequence[tuple[str, BoardFigure]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for width in widths:
        table.add_column(width=width, no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    for key, figure in rows:
        table.add_row(key, str(figure.value), escape(figure.source))
    return table


def _split(key: str) -> tuple[str, str]:
    """Section and key, as they are written in a board's file: ("units.cpu", "peak.float32")."""
    words = key.split(".")
    depth = 0 if words[0] != "units" else 4 if words[2] == "operating_points" else 2
    return ".".join(words[:depth]), ".".join(words[depth:])


def _all() -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("board", "units"):
        table.add_column(column, no_wrap=True)
    for column in ("float32", "memory", "idle", "busy", "USD"):
        table.add_column(column, justify="right", no_wrap=True)
    for name in board_names():
        table.add_row(name, *_row(board(name)))
    out = Console(highlight=False)
    out.print(table)
    out.print("[dim]busy: on top of idle; `shoal boards NAME` gives the source of each figure\n")
    machines = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("simulated machine", ""):
        machines.add_column(column)
    for name in catalog.names(FAMILY):
        machines.add_row(name, title(description(name)))
    out.print(machines)
    out.print("[dim]in a fleet: engine simulated:machine=NAME; alone: `shoal simulate … --on NAME`")


def _row(device: Device) -> tuple[str, ...]:
    peak = _peak_flop_per_s(device)
    return (
        ",".join(unit.name for unit in device.units),
        format_rate(peak, "flop/s") if peak is not None else "–",
        format_bytes(device.memory_bytes),
        f"{device.idle_w:g} W",
        f"+{max(unit.busy_w for unit in device.units):g} W",
        f"{device.price_usd:,.0f}" if device.price_usd is not None else "–",
    )


def _peak_flop_per_s(device: Device) -> float | None:
    return max((unit.peak_flop_per_s.get("float32", 0.0) for unit in device.units), default=0.0) or None


def _facts(name: str) -> dict[str, object]:
    device = board(name)
    return {
        "title": board_title(name),
        "units": [unit.name for unit in device.units],
        "peak_flop_per_s": _peak_flop_per_s(device),
        "memory_bytes": device.memory_bytes,
        "idle_w": device.idle_w,
        "busy_w": max(unit.busy_w for unit in device.units),
        "price_usd": device.price_usd,
    }
