"""Write one self-contained folder per device, ready to copy there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli import options
from shoal.run.pack import CLIENT_FOLDER, pack

EXAMPLES = (
    "shoal pack plan -o bundles",
    "shoal pack plan/front/03.json -o bundles",
)

STARTING = """\
By hand: copy each folder to its device and start it there with its start.sh,
then the client with {folder}/client/start.sh (--at UNIT=HOST:PORT for each
device whose address is not in the fleet file).
Under MPI: {folder}/mpirun.sh starts all of them. MPI polls while it waits, so a
waiting worker keeps its core busy.
"""


def command(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help=options.PLAN_HELP)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="folder to write")] = Path(
        "bundles"
    ),
    seed: Annotated[int, typer.Option(min=0, help="of the sample inputs that the client will send")] = 0,
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Write one self-contained folder per device, ready to copy there."""
    packed = pack(options.plan(plan), output, seed)
    if json:
        options.emit(
            {"folder": str(packed.folder), "units": {unit: str(path) for unit, path in packed.units.items()}}
        )
        return
    width = max(map(len, packed.units))
    for unit, path in packed.units.items():
        sys.stdout.write(f"{unit:<{width}}  {path}\n")
    sys.stdout.write(f"{'client':<{width}}  {output / CLIENT_FOLDER}\n\n{STARTING.format(folder=output)}")
