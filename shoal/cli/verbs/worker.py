"""Run one device's bundle until its coordinator lets it go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shoal.worker.__main__ import main

EXAMPLES = (
    "shoal worker bundles/pi-cpu",
    "shoal worker bundles/pi-cpu --listen 0.0.0.0:4711",
)


def command(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="the folder that `shoal pack` made for this device")
    ],
    over: Annotated[str, typer.Option(metavar="TRANSPORT", help="what carries tensors: tcp, shm, mpi")] = "tcp",
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="where peers connect; a free local port if none")
    ] = "",
    plain: Annotated[bool, typer.Option("--plain", help="allow unencrypted connections with other hosts")] = False,
) -> int:
    """Run one device's bundle until its coordinator lets it go."""
    transport = f"{over}:plain=true" if plain and over == "tcp" else over
    return main([f"--over={transport}", f"--listen={listen}", "--verify", "--", str(bundle)])
