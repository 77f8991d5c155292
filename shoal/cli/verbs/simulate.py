"""Execute a plan's Program in simulated time and say what would happen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shoal import codec
from shoal.cli import options
from shoal.report import print_table, summary
from shoal.run.simulated import simulated


def command(
    plan: Annotated[Path, typer.Argument(help="a plan folder, or one plan of its front")],
    items: Annotated[int, typer.Option(help="how many items")] = 32,
    output: Annotated[Path, typer.Option("-o", "--output", help="file to write the run to")] = Path(
        options.RUN_FILE
    ),
    json: Annotated[bool, typer.Option("--json", help="the figures as JSON on stdout")] = False,
) -> None:
    """Execute a plan's Program in simulated time and say what would happen."""
    run = simulated(options.plan(plan), items)
    codec.save(run, output)
    if json:
        options.emit(summary(run))
    else:
        print_table(run)
