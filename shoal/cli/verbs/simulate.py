"""Execute a plan in simulated time on machines that need not be here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal import codec
from shoal.cli import entries, machine, options
from shoal.report import print_table, summary
from shoal.run.simulated import simulated

EXAMPLES = (
    "shoal simulate plan",
    "shoal simulate plan --rate 20/s --poisson --items 200",
    "shoal simulate plan --items 1000 -o simulated.json",
    "shoal simulate model.onnx --on systolic",
)


def command(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help=f"{options.PLAN_HELP}; with --on, an ONNX file")],
    items: Annotated[int | None, typer.Option(min=1, help="how many items to simulate (default: 32)")] = None,
    rate: Annotated[str, typer.Option(metavar="RATE", help=options.RATE_HELP)] = "",
    poisson: Annotated[bool, typer.Option("--poisson", help=options.POISSON_HELP)] = False,
    workload: Annotated[Path | None, typer.Option(metavar="FILE", help=options.WORKLOAD_HELP)] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="MACHINE",
            help="all ops of a model on one machine that is not here, with options: systolic+rows=16",
        ),
    ] = "",
    shape: Annotated[list[str], typer.Option(metavar="NAME=SIZES", help=f"with --on: {options.SHAPE_HELP}")] = [],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="file to write the run to")] = Path(
        options.RUN_FILE
    ),
    json: Annotated[bool, typer.Option("--json", help="the figures as JSON on stdout")] = False,
) -> None:
    """Execute a plan in simulated time on machines that need not be here."""
    if on:
        machine.show(plan, on, shape, json=json)
        return
    options.writable(output)
    if options.entries_in(plan) and not rate and workload is None:
        entries.simulate(plan, items, output, json=json)
        return
    decided = options.plan(plan)
    coming = options.workload_of(decided, items, rate, poisson, workload)
    run = simulated(decided, coming.items, coming)
    codec.save(run, output)
    if json:
        options.emit(summary(run))
    else:
        print_table(run)
        sys.stdout.write(f"\nrun written to {output}; `shoal report {output}` makes the page\n")
