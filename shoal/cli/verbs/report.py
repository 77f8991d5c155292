"""Make a self-contained page of one or several runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli import options
from shoal.report import print_table, summary, write_html, write_trace

EXAMPLES = (
    "shoal report run.json",
    "shoal report run.json simulated.json -o compared.html",
)


def command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="run files, as `shoal run` and `shoal simulate` write them")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="page to write")] = Path(
        "report.html"
    ),
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="also write the first run as a trace for ui.perfetto.dev")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="the figures as JSON on stdout")] = False,
) -> None:
    """Make a self-contained page of one or several runs."""
    options.writable(output, trace)
    loaded = [options.run(path) for path in runs]
    write_html(loaded, output)
    if trace is not None:
        write_trace(loaded[0], trace)
    if json:
        options.emit([summary(run) for run in loaded])
        return
    for run in loaded:
        print_table(run)
    sys.stdout.write(f"page written to {output}\n")
