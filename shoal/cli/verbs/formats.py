"""Show the number formats, what each takes and what it loses."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from shoal.cli import options

EXAMPLES = (
    "shoal formats",
    "shoal formats int4g128",
    "shoal formats int4g64+lowrank:rank=8",
    "shoal formats crossover",
)
SHAPE = (4096, 4096)
CREST_PLACES = 2


def command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="one format; or crossover: whole against floating-point numbers")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Show the number formats, what each takes and what it loses."""
    if name == "crossover":
        _crossover(json=json)
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
