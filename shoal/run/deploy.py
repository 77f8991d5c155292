"""The bundle of a unit: its manifest, and the folder with links to its written segments."""

from __future__ import annotations

from pathlib import Path

from shoal import cache
from shoal.program import Pace, Program
from shoal.program.bundle import FileMark, Manifest, write


def manifest_of(
    program: Program,
    unit: str,
    source: Path,
    *,
    threads: int,
    cores: tuple[int, ...] = (),
    pace: Pace | None = None,
    speed: float = 1.0,
) -> Manifest:
    """The manifest of `unit`, whose files lie in `source`."""
    names = [name for segment in program.segments if segment.unit == unit for name in segment.files]
    known = {name: _sha256(source / name) for name in names}
    marks = {name: FileMark(digest, (source / name).stat().st_size) for name, digest in known.items()}
    return Manifest(unit, program.hash.hex(), threads, marks, cores=cores, pace=pace, speed=speed)


def lay_out(program: Program, manifest: Manifest, source: Path, folder: Path) -> None:
    """Make `folder` the bundle of `manifest`: program, manifest, and links to its files in `source`.

    A file on another file system is copied.
    """
    write(program, manifest, folder)
    for name in manifest.files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(source / name)
        except OSError:
            target.write_bytes((source / name).read_bytes())


def _sha256(path: Path) -> str:
    """The hash of a written file, from its cache entry's manifest: hard links would make `digest` read it again."""
    return cache.digests(path.parent)[path.name]
