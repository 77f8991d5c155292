"""What a device is given: a folder with the program, a manifest, and the files of its segments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shoal import codec
from shoal.errors import InputError, ProgramError
from shoal.program.check import check
from shoal.program.pace import Pace
from shoal.program.values import PROTOCOL, Program

PROGRAM_FILE = "program.json"
MANIFEST_FILE = "manifest.json"
MOST_THREADS = 1024  # more would only be a lie that costs memory


@dataclass(frozen=True)
class FileMark:
    """How a file is known to be the right one."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What is in the folder and how this unit is to run."""

    unit: str
    program_hash: str
    threads: int
    files: Mapping[str, FileMark]
    cores: tuple[int, ...] = ()  # pin to these; empty: do not pin
    pace: Pace | None = None  # emulate a board
    speed: float = 1.0  # of one core: the worker sleeps so much that it is no faster
    protocol: int = PROTOCOL

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MOST_THREADS:
            raise InputError(
                "no engine takes so many threads", needed=f"1 to {MOST_THREADS}", had=f"{self.threads}"
            )
        if not 0 < self.speed <= 1:
            raise InputError("a worker is as fast as its core, or slower", needed="0 to 1", had=f"{self.speed:g}")
        if any(core < 0 for core in self.cores):
            raise InputError("cores count from zero", had=", ".join(map(str, self.cores)))
        for hop in (hop for hops in (self.pace.hops if self.pace else {}).values() for hop in hops):
            if not (hop.bytes_per_s > 0 and hop.latency_s >= 0):
                had = f"{hop.bytes_per_s:g} B/s, {hop.latency_s:g} s"
                raise InputError(f"'{hop.medium}' is no link", needed="> 0 B/s, >= 0 s", had=had)
        if any(seconds < 0 for seconds in (self.pace.segments_s if self.pace else {}).values()):
            raise InputError("a segment cannot end before it begins", needed="0 s or more")


@dataclass(frozen=True)
class Bundle:
    """A manifest with its program and the folder the files are in."""

    program: Program
    manifest: Manifest
    folder: Path


def mark(path: Path) -> FileMark:
    """Hash and size of the file `path`."""
    with path.open("rb") as file:
        return FileMark(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def write(program: Program, manifest: Manifest, folder: Path) -> None:
    """Write program and manifest into `folder`; the files are put there by whoever makes them."""
    codec.save(program, folder / PROGRAM_FILE)
    codec.save(manifest, folder / MANIFEST_FILE)


def read(folder: Path) -> Bundle:
    """The bundle in `folder`, with every file's presence and size checked, and a program that could run.

    Raises:
        InputError: something is missing, too long or short, or of another program or protocol.
    """
    manifest = codec.load(Manifest, folder / MANIFEST_FILE)
    if manifest.protocol != PROTOCOL:
        raise InputError(
            "this bundle speaks another protocol",
            where=str(folder),
            needed=str(PROTOCOL),
            had=str(manifest.protocol),
        )
    program = codec.load(Program, folder / PROGRAM_FILE)
    if program.hash.hex() != manifest.program_hash:
        raise InputError("program and manifest do not belong together", where=str(folder))
    try:
        check(program)
    except ProgramError as fault:
        raise InputError(f"no program that could run: {fault.message}", where=str(folder / PROGRAM_FILE)) from fault
    if manifest.unit not in program.units:
        raise InputError(f"the program has no unit '{manifest.unit}'", where=str(folder))
    for name, file in manifest.files.items():
        _same_size(folder, name, file)
    return Bundle(program, manifest, folder)


def verify(bundle: Bundle) -> None:
    """Check the hash of every file; reads them whole.

    Raises:
        InputError: naming the file that is not what the manifest says.
    """
    for name, expected in bundle.manifest.files.items():
        found = mark(bundle.folder / name)
        if found != expected:
            raise InputError(
                "not the file the manifest names", where=name, needed=expected.sha256, had=found.sha256
            )


def _same_size(folder: Path, name: str, file: FileMark) -> None:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError("a manifest may only name files inside its folder", where=name)
    if not path.is_file():
        raise InputError("a file is missing", where=str(path))
    if path.stat().st_size != file.bytes:
        raise InputError(
            "a file has the wrong length", where=str(path), needed=f"{file.bytes} B", had=f"{path.stat().st_size} B"
        )
