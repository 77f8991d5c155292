"""Show the boards and machines known, each number with its source."""

from __future__ import annotations

from typing import Annotated

import typer

from shoal.cli import options
from shoal.fleet import Device, board, board_figures, board_names, board_title
from shoal.units import format_bytes


def command(
    name: Annotated[str, typer.Argument(help="one board, with the source of each number")] = "",
    json: Annotated[bool, typer.Option("--json", help="as JSON on stdout")] = False,
) -> None:
    """Show the boards and machines known, each number with its source."""
    if name:
        _one(name, json=json)
    elif json:
        options.emit({each: board_title(each) for each in board_names()})
    else:
        _all()


def _one(name: str, *, json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    figures = board_figures(name)
    if json:
        options.emit({"name": name, "title": board_title(name), "figures": figures})
        return
    table = Table(title=board_title(name), title_justify="left", box=None, pad_edge=False, header_style="dim")
    for column in ("figure", "value", "source"):
        table.add_column(column, overflow="fold")
    for figure in figures:
        table.add_row(figure.key, str(figure.value), figure.source)
    Console(highlight=False).print(table)


def _all() -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("board", no_wrap=True)
    for column in ("units", "peak float32", "memory", "idle", "busy", "price"):
        table.add_column(column, justify="right" if column != "units" else "left")
    for name in board_names():
        table.add_row(name, *_row(board(name)))
    Console(highlight=False).print(table)


def _row(device: Device) -> tuple[str, ...]:
    peaks = [unit.peak_flop_per_s["float32"] for unit in device.units if "float32" in unit.peak_flop_per_s]
    return (
        ", ".join(unit.name for unit in device.units),
        f"{max(peaks) / 1e9:,.0f} Gflop/s" if peaks else "–",
        format_bytes(device.memory_bytes),
        f"{device.idle_w:g} W",
        f"+{max(unit.busy_w for unit in device.units):g} W",
        f"{device.price_usd:,.0f} USD" if device.price_usd is not None else "–",
    )
