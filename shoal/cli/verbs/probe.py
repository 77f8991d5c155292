"""Measure this machine into a fleet file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli import options
from shoal.fleet import dumps, save
from shoal.measure.probe import probe


def command(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="fleet file to write; stdout if none")
    ] = None,
    peer: Annotated[
        str | None, typer.Option(help="host:port of `python -m shoal.measure.echo` on another device")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="as JSON on stdout")] = False,
) -> None:
    """Measure this machine into a fleet file: compute, memory bandwidth, cores, engines, link to a peer."""
    fleet = probe(peer)
    if output is not None:
        save(fleet, output)
        sys.stderr.write(f"fleet written to {output}\n")
    if json:
        options.emit(fleet)
    elif output is None:
        sys.stdout.write(dumps(fleet))
