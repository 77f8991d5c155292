"""Show the number formats, what each takes and what it loses."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from shoal.cli import options
from shoal.errors import InputError

EXAMPLES = (
    "shoal formats",
    "shoal formats int4g128",
    "shoal formats int4g64+lowrank:rank=8",
    "shoal formats crossover",
    "shoal formats mac",
)
SHAPE = (4096, 4096)
CREST_PLACES = 2
NODE_NM = 45


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="one format; or crossover: whole against floating-point numbers; or mac: a multiply-add in each",
        ),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Show the number formats, what each takes and what it loses."""
    if name == "crossover":
        _crossover(json=json)
        return
    if name == "mac":
        _mac(json=json)
        return
    from shoal.formats import EXAMPLES as known

    rows = [_facts(each) for each in ([name] if name else known)]
    if json:
        options.emit(rows[0] if name else rows)
        return
    table = Table("format", "bits a value", "group", "lost of normal values", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], f"{row['bits_per_value']:.4g}", row["group"], f"{row['qsnr_db']:.1f} dB")
    out = Console(highlight=False)
    out.print(table)
    if not name:
        out.print(
            f"\nbits with all parameters, of {SHAPE[0]} × {SHAPE[1]} values; dB: QSNR, more is better", style="dim"
        )


def _facts(name: str) -> dict[str, Any]:
    import numpy as np

    from shoal import formats

    form = formats.make(name)
    values = np.random.default_rng(0).standard_normal((64, 1024)).astype(np.float32)
    lost = formats.restored(form, formats.quantise(form, values)) - values
    return {
        "name": name,
        "bits_per_value": form.stored_bits(SHAPE) / (SHAPE[0] * SHAPE[1]),
        "group": {0: "a row", -1: "all"}.get(form.group, f"{form.group} columns"),
        "qsnr_db": float(-10 * np.log10((lost**2).sum() / (values**2).sum())),
    }


def _crossover(*, json: bool) -> None:
    from shoal.compress import PAIRS, crossover

    rows = [
        {
            "integer": each.integer,
            "floating": each.floating,
            "crest_factor": crossover(each),
            "published": each.published,
        }
        for each in PAIRS
    ]
    if json:
        options.emit(rows)
        return
    table = Table("whole", "floating", "crest factor", "published", box=None, pad_edge=False)
    for row in rows:
        figures = (f"{row[key]:.{CREST_PLACES}f}" for key in ("crest_factor", "published"))
        table.add_row(str(row["integer"]), str(row["floating"]), *figures)
    out = Console(highlight=False)
    out.print(table)
    out.print(
        "\nblocks with a smaller crest factor (largest magnitude / RMS) lose less in whole numbers", style="dim"
    )


def _mac(*, json: bool) -> None:
    from shoal.formats import EXAMPLES as known
    from shoal.formats import make
    from shoal.machines import mac_cost

    rows: list[dict[str, Any]] = []
    for name in known:
        try:
            cost = mac_cost(make(name))
        except InputError:  # a format whose products are looked up
            continue
        rows.append({"name": name, **cost.parts, "area": cost.area, "energy_j": cost.energy_j(NODE_NM)})
    if json:
        options.emit(rows)
        return
    table = Table("format", box=None, pad_edge=False)
    for part in [*list(rows[0])[1:-1], "energy"]:
        table.add_column(part, justify="right")
    for row in rows:
        figures = (f"{value:.1f}" for value in list(row.values())[1:-1])
        table.add_row(row["name"], *figures, f"{row['energy_j'] * 1e12:.3f} pJ")
    out = Console(highlight=False)
    out.print(table)
    out.print(f"\nareas in full adders, by gate counts; energy of such gates at {NODE_NM} nm", style="dim")
