"""Run one device's bundle, or offer a model's weights to others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shoal.worker.__main__ import main

EXAMPLES = (
    "shoal worker bundles/pi-cpu",
    "shoal worker bundles/pi-cpu --listen 0.0.0.0:4711",
    "shoal worker gemma-3-270m.gguf --listen 0.0.0.0:4711 --over tcp:identity=FOLDER",
)


def command(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE|MODEL|STORE",
            help="the folder that `shoal pack` made for this device; or a trained language model, or a file of records: "
            "others then read its weights (shoal generate --weights-from)",
        ),
    ],
    over: Annotated[str, typer.Option(metavar="TRANSPORT", help="what carries tensors: tcp, shm, mpi")] = "tcp",
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="where peers connect; a free local port if none")
    ] = "",
    plain: Annotated[bool, typer.Option("--plain", help="allow unencrypted connections with other hosts")] = False,
) -> int:
    """Run one device's bundle, or offer a model's weights to others."""
    transport = f"{over}:plain=true" if plain and over == "tcp" else over
    return main([f"--over={transport}", f"--listen={listen}", "--verify", "--", str(_records_of(bundle))])


def _records_of(path: Path) -> Path:
    """Where a trained model's weights are kept as records; anything else as it is."""
    try:
        trained = path.suffix == ".gguf" or (path / "config.json").is_file()
    except OSError:  # no such path can be: whoever opens it says why
        trained = False
    if not trained:
        return path
    from shoal.llm.offload.kept import stored  # a worker of a bundle needs nothing of this

    return stored(path)[0].path
