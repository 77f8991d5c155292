"""The device's cache folder: what an engine derives from a segment once and finds again at the next start.

Below `SHOAL_CACHE`, or `~/.cache/shoal`, stands one folder per kind; in it one folder per key, whose
manifest holds the SHA-256 of its files. An entry appears whole or not at all; one that no longer agrees with
its manifest is built again. Nothing here is ever sent to another machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shoal import codec
from shoal.errors import InputError

MANIFEST = "manifest.json"
MOST_BYTES = 16 << 30  # of what can be made again
_SETTLED_S = 2.0  # a file younger than this may still change without its time stamp showing it


@dataclass(frozen=True)
class Kept:
    """What a file of an entry must be. Its time stamp only tells whether to look closer: links leave it alone."""

    sha256: str
    bytes: int
    modified_ns: int


@dataclass(frozen=True)
class Manifest:
    """The files of an entry, by name."""

    files: Mapping[str, Kept]


def folder(kind: str) -> Path:
    """The folder of the entries of `kind`; it need not exist yet."""
    root = os.environ.get("SHOAL_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "shoal") / kind


def entry(kind: str, key: str, build: Callable[[Path], None], most_bytes: int | None = None) -> Path:
    """The folder kept under `key`, built first if it is missing or damaged.

    Args:
        kind: what the entry is, "segments".
        key: decides the content; letters and digits.
        build: fills an empty folder. Whatever it raises passes through and leaves nothing behind.
        most_bytes: of all entries of the kind, beyond which those go that were not used for longest; none: never.

    Raises:
        InputError: the cache folder cannot be written.
    """
    place = folder(kind) / key
    if _whole(place):
        _used(place)
        return place
    try:
        with _lock(place):
            if not _whole(place):  # another process may have built it meanwhile
                _publish(place, build)
                if most_bytes is not None:
                    _trim(place, most_bytes)
    except OSError as fault:
        raise _unwritable(place.parent, fault) from fault
    return place


def digests(place: Path) -> Mapping[str, str]:
    """SHA-256 of every file of the entry at `place`, by name, as kept when it was built: nothing is read.

    Raises:
        InputError: there is no such entry.
    """
    return {name: kept.sha256 for name, kept in codec.load(Manifest, place / MANIFEST).files.items()}


@contextmanager
def workspace(kind: str) -> Iterator[Path]:
    """A folder for work in progress, beside the entries of `kind`; gone afterwards.

    Raises:
        InputError: the cache folder cannot be written.
    """
    try:
        folder(kind).mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=folder(kind), prefix=".work.", ignore_cleanup_errors=True)
    except OSError as fault:
        raise _unwritable(folder(kind), fault) from fault
    with temporary as name:
        yield Path(name)


def hand_out(kept: Path, target: Path) -> None:
    """Make the file `kept` available as `target`: the same file where the system can link it, else a copy.

    Raises:
        InputError: `target` cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(kept, target)
        except OSError:  # another file system
            shutil.copyfile(kept, target)
    except OSError as fault:
        raise InputError(f"cannot write: {fault.strerror or fault}", where=str(target)) from fault


def digest(path: Path) -> str:
    """SHA-256 of the file's content, remembered by the file's identity so that a large file is read once.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    facts = (path.resolve(), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    note = folder("digests") / hashlib.sha256(repr(facts).encode()).hexdigest()
    try:
        found = note.read_text()
    except OSError:
        found = ""
    if len(found) == hashlib.sha256().digest_size * 2:
        return found
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED_S:
        codec.write_bytes(found.encode(), note)
    return found


def _unwritable(place: Path, fault: OSError) -> InputError:
    hint = "set SHOAL_CACHE to a folder that can be written"
    return InputError(f"cannot keep prepared segments: {fault.strerror}", where=str(place), hint=hint)


def _used(place: Path) -> None:
    """Note the time, by which what was not used for long is known."""
    with contextlib.suppress(OSError):  # somebody else's cache, which may only be read
        os.utime(place)


def _trim(newest: Path, most_bytes: int) -> None:
    """Remove the entries beside `newest` that were not used for longest, until all of them fit."""
    found = []
    for place in newest.parent.iterdir():
        with contextlib.suppress(OSError):  # another process removes it just now
            if place != newest and (place / MANIFEST).is_file():
                size = sum(file.stat().st_size for file in place.iterdir())
                found.append((place.stat().st_mtime, size, place))
    left = most_bytes - sum(file.stat().st_size for file in newest.iterdir())
    for _, size, place in sorted(found, reverse=True):
        left -= size
        if left < 0:
            shutil.rmtree(place, ignore_errors=True)


def _whole(place: Path) -> bool:
    try:
        manifest = codec.load(Manifest, place / MANIFEST)
        return all(_same(place / name, kept) for name, kept in manifest.files.items())
    except (InputError, OSError):
        return False


def _same(path: Path, kept: Kept) -> bool:
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) == (kept.bytes, kept.modified_ns):
        return True
    return status.st_size == kept.bytes and digest(path) == kept.sha256


def _kept(path: Path) -> Kept:
    status = path.stat()
    return Kept(digest(path), status.st_size, status.st_mtime_ns)


def _publish(place: Path, build: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    try:
        fresh = temporary / "fresh"
        fresh.mkdir()
        build(fresh)
        files = sorted(file for file in fresh.iterdir() if file.is_file())
        codec.save(Manifest({file.name: _kept(file) for file in files}), fresh / MANIFEST)
        if place.exists():
            place.rename(temporary / "damaged")  # who has it mapped keeps it
        fresh.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _lock(place: Path) -> Iterator[None]:
    """One builder at a time; the lock goes when its holder does."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f".{place.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
