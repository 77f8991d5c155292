"""Packed folders at work, each with nothing but itself: workers started by hand over TCP, or ranks by mpirun."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from shoal import codec
from shoal.errors import WorkerDied

if TYPE_CHECKING:
    from shoal.record import Run
    from shoal.run.pack import Packed

PATIENCE_S = 300.0
CLIENT_FOLDER = "client"


def over_mpi(packed: Packed, output: Path) -> Run:
    """The Run of `mpirun.sh` in a packed folder: one rank for the client and one for each unit.

    Raises:
        WorkerDied: it failed; says what it printed last.
    """
    output.mkdir()
    _done(["sh", str(packed.folder / "mpirun.sh"), "--oversubscribe"], output)
    return codec.load(_run_type(), output / "run.json")


def alone(packed: Packed, output: Path, items: int) -> Run:
    """The Run of workers whose folders are copied to places of their own, where there is nothing else; the client's too.

    Raises:
        WorkerDied: a worker or the client failed; says what it printed last.
    """
    with ExitStack() as stack:
        at = []
        for unit, folder in packed.units.items():
            place = _moved(folder, output)
            worker = subprocess.Popen(
                ["sh", str(place / "start.sh"), "--listen", "127.0.0.1:0"],
                cwd=place.parent, env=_environment(place.parent), stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            stack.callback(_ended, worker)
            at.append(f"--at={unit}={_address(worker)}")
        client = _moved(packed.folder / CLIENT_FOLDER, output)
        run = output / "run.json"
        _done(["sh", str(client / "start.sh"), *at, "--items", str(items), "-o", str(run)], client.parent)
    return codec.load(_run_type(), run)


def _moved(folder: Path, output: Path) -> Path:
    place = output / f"machine of {folder.name}" / folder.name
    shutil.copytree(folder, place)
    return place


def stored_weights(folder: Path) -> int:
    """Bytes of the weights in a unit's folder, as its segments' files list them."""
    import onnx

    return sum(
        onnx.numpy_helper.to_array(tensor, str(path.parent)).nbytes
        for path in folder.rglob("*.onnx")
        for tensor in onnx.load(path, load_external_data=False).graph.initializer
    )


def _run_type() -> type[Run]:
    from shoal.record import Run

    return Run


def _environment(home: Path) -> dict[str, str]:
    """Of a machine that has shoal and has never seen the model."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    source = f"{Path(codec.__file__).parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**os.environ, **root, "PATH": path, "PYTHONPATH": source, "SHOAL_CACHE": str(home / "cache")}


def _address(worker: subprocess.Popen[str]) -> str:
    line = worker.stdout.readline() if worker.stdout else ""
    if not line:
        raise WorkerDied("a packed folder does not start", where=str(worker.args))
    return str(json.loads(line)["listening"])


def _done(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise WorkerDied("packed folders did not run", where=command[1], had=" ".join(last))


def _ended(worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.communicate()
