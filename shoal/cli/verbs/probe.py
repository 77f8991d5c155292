"""Measure this machine into a fleet file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli import options
from shoal.fleet import dumps, save
from shoal.measure.probe import probe
from shoal.run.handled import measure_handling

EXAMPLES = (
    "shoal probe -o here.toml",
    "shoal probe --peer 192.0.2.7:4711 -o here.toml",
)


def command(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="fleet file to write; stdout if none")
    ] = None,
    peer: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="also measure the link to where `python -m shoal.measure.echo` runs"
        ),
    ] = None,
    workers: Annotated[
        bool, typer.Option("--workers", help="also measure what workers spend on calls and messages, for plans")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="the fleet as JSON on stdout")] = False,
) -> None:
    """Measure this machine into a fleet file.

    Compute, memory bandwidth, cores and engines, power where the processor counts it, and the link to a peer.
    """
    options.writable(output)
    fleet = probe(peer)
    if workers:
        measure_handling()
    if output is not None:
        save(fleet, output)
        sys.stderr.write(f"fleet written to {output}\n")
    if json:
        options.emit(fleet)
    elif output is None:
        sys.stdout.write(dumps(fleet))
