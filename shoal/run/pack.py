"""One self-contained folder per device, and what starts them: by hand over TCP, or with mpirun."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shoal import codec
from shoal.errors import InputError
from shoal.plan.lower import lower
from shoal.plan.values import Plan
from shoal.plan.written import with_files
from shoal.program import Program
from shoal.program.bundle import write
from shoal.run.arrays import load_arrays
from shoal.run.deploy import manifest_of
from shoal.run.execute import model_of
from shoal.run.samples import Samples, answered, drawn

CLIENT_FOLDER = "client"
SAMPLES_FILE = "samples.npz"
PLAN_FILE = "plan.json"
SAMPLE_COUNT = 4


@dataclass(frozen=True)
class Packed:
    """Where everything is."""

    folder: Path
    units: Mapping[str, Path]


def pack(plan: Plan, folder: Path, seed: int = 0) -> Packed:
    """Write `folder`: a bundle for each unit, one for the client, rank and host files, and start scripts.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("this is a file, not a folder", where=str(folder))
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "rankfile").exists():
        raise InputError("the folder is not empty and no earlier pack", where=str(folder))
    codec.check_writable(folder / "rankfile")
    graph = model_of(plan)
    program, source = with_files(graph, lower(graph, plan))
    units = {unit: folder / unit.replace("/", "-") for unit in program.units}
    for unit, place in units.items():
        _unit(plan, program, unit, source, place)
    inputs = drawn({name: program.tensors[name] for name in graph.inputs}, SAMPLE_COUNT, seed)
    samples = answered(graph, inputs, plan.workload, plan.machines)
    _client(plan, program, samples, folder / CLIENT_FOLDER)
    _mpi_files(plan, program, folder)
    return Packed(folder, units)


def read_samples(path: Path, *, by_item: bool = False) -> Samples:
    """The inputs and expected answers that `pack` wrote.

    Args:
        path: the file.
        by_item: the answers are those of the first items, since each item depends on those before it.

    Raises:
        InputError: the file is missing or damaged.
    """
    content = load_arrays(path)
    stacks: dict[str, dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]] = {"in": {}, "out": {}}
    for key, stack in content.items():
        side, _, name = key.partition(":")
        if side not in stacks or not stack.ndim or not len(stack):
            raise InputError(f"'{key}' is no sample of inputs or answers", where=str(path))
        stacks[side][name] = stack
    if not all(stacks.values()):
        raise InputError("not the samples of a packed plan", where=str(path), needed="inputs and answers")
    inputs, expected = (
        tuple(
            {name: stack[i] for name, stack in stacks[side].items()}
            for i in range(min(len(stack) for stack in stacks[side].values()))
        )
        for side in ("in", "out")
    )
    return Samples(inputs, expected, by_item=by_item)


def _unit(plan: Plan, program: Program, unit: str, source: Path, place: Path) -> None:
    device = plan.fleet.device(unit)
    threads = len(device.cores) if device.cores else plan.fleet.unit(unit).cores
    manifest = manifest_of(program, unit, source, threads=threads, cores=device.cores or (), speed=device.speed)
    write(program, manifest, place)
    for name in manifest.files:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, place / name)
    _script(place / "start.sh", 'exec python3 -m shoal.worker "$(dirname "$0")" --verify "$@"')


def _client(plan: Plan, program: Program, samples: Samples, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    codec.save(program, place / "program.json")
    codec.save(plan, place / PLAN_FILE)
    arrays = {f"in:{name}": np.stack([each[name] for each in samples.inputs]) for name in samples.inputs[0]}
    arrays |= {f"out:{name}": np.stack([each[name] for each in samples.expected]) for name in samples.expected[0]}
    codec.save_arrays(arrays, place / SAMPLES_FILE)
    _script(place / "start.sh", 'exec python3 -m shoal.run "$(dirname "$0")" "$@"')


def _mpi_files(plan: Plan, program: Program, folder: Path) -> None:
    """Rank 0 is the client; rank i the i-th unit, pinned to its device's cores where they are stated."""
    hosts = {unit: _host(plan, unit) for unit in program.units}
    lines = [f"rank 0={hosts[program.units[0]]} slots=0"]
    for rank, unit in enumerate(program.units, start=1):
        cores = plan.fleet.device(unit).cores or tuple(range(plan.fleet.unit(unit).cores))
        lines.append(f"rank {rank}={hosts[unit]} slots={','.join(map(str, cores))}")
    (folder / "rankfile").write_text("\n".join(lines) + "\n")
    counts = {host: list(hosts.values()).count(host) for host in hosts.values()}
    counts[hosts[program.units[0]]] += 1
    (folder / "hostfile").write_text("".join(f"{host} slots={count}\n" for host, count in counts.items()))
    folders = [CLIENT_FOLDER, *(unit.replace("/", "-") for unit in program.units)]
    apps = " : ".join(f'-n 1 "$here"/{shlex.quote(name)}/start.sh --over mpi' for name in folders)
    _script(folder / "mpirun.sh", f'here=$(cd "$(dirname "$0")" && pwd)\nexec mpirun "$@" {apps}')


def _host(plan: Plan, unit: str) -> str:
    device = plan.fleet.device(unit)
    return device.address.rpartition(":")[0] if device.address else device.name


def _script(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
