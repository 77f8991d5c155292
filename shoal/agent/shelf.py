"""A device's files by SHA-256: fetched once, checked, laid out for workers, and removed when long unused.

A file appears whole or not at all. What came of one that was interrupted stands beside it, and the next fetch goes
on from there. Bundles are hard links, so a file that a worker uses has more than one link and is never removed:
that would free nothing.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from shoal import cache
from shoal.agent.source import Interrupted, Source
from shoal.errors import InputError, LimitError, WireError
from shoal.units import format_bytes

Parts = Mapping[str, tuple[str, int]]  # name → SHA-256 in hex, bytes

LIMIT_BYTES = 16 << 30
RESERVE_BYTES = 64 << 20  # of the disk, for the system's sake
TRIES = 4
PAUSE_S = 0.5  # after a connection broke; then twice as long, and so on
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class Shelf:
    """The files of one device. Safe to use from several threads and processes."""

    folder: Path = field(default_factory=lambda: cache.folder("parts"))
    limit_bytes: int = LIMIT_BYTES  # beyond it, what was not used for longest goes
    reserve_bytes: int = RESERVE_BYTES
    free_bytes: Callable[[Path], int] = _free_bytes

    def path(self, sha256: str) -> Path:
        """Where the file of that hash is, or would be."""
        return self.folder / sha256

    def has(self, sha256: str, size: int) -> bool:
        """Whether the file is there, going by its size."""
        try:
            return self.path(sha256).stat().st_size == size
        except OSError:
            return False

    def missing(self, parts: Parts) -> dict[str, int]:
        """What is not there, as bytes by hash.

        Raises:
            InputError: a part has no proper name, hash or size.
        """
        check(parts)
        return {sha256: size for sha256, size in parts.values() if not self.has(sha256, size)}

    def fetch(self, parts: Parts, open_source: Callable[[], Source]) -> int:
        """Get what is missing from the hub; how many bytes came.

        Raises:
            InputError: a part has no proper name, hash or size; or the folder cannot be written.
            LimitError: there is no room for it.
            WireError: the hub does not answer, refuses, or sends something else.
        """
        missing = self.missing(parts)
        if not missing:
            return 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(missing, {sha256 for sha256, _ in parts.values()})
            with open_source() as source:
                return sum(self._fetch(sha256, size, source) for sha256, size in missing.items())
        except OSError as fault:
            raise _unwritable(self.folder, fault) from fault

    def put(self, sha256: str, file: Path) -> None:
        """Take a file of this machine in, as a link where the system can.

        Raises:
            InputError: it cannot be read, or the shelf not be written.
        """
        check({"": (sha256, 0)}, named=False)
        try:
            there = self.has(sha256, file.stat().st_size)
        except OSError as fault:
            raise InputError(f"cannot read: {fault.strerror}", where=str(file)) from fault
        if not there:
            cache.hand_out(file, self.path(sha256))

    def trim(self) -> None:
        """Remove what nobody else has, the longest unused first, until the shelf keeps its limit."""
        if not self.folder.is_dir():
            return
        over = self._used() - self.limit_bytes
        for path, size in self._idle(set()):
            if over <= 0:
                return
            path.unlink(missing_ok=True)
            over -= size

    def lay_out(self, parts: Parts, folder: Path) -> None:
        """Make the files available in `folder` by their names.

        Raises:
            InputError: one is not there, has no proper name, or the folder cannot be written.
        """
        for sha256 in self.missing(parts):
            raise InputError("a file is missing", where=str(self.path(sha256)))
        for name, (sha256, _) in parts.items():
            cache.hand_out(self.path(sha256), folder / name)

    def discard_damaged(self, parts: Parts) -> list[str]:
        """Read the files whole and remove those that no longer agree with their hash; the names of these."""
        damaged = []
        for name, (sha256, _) in parts.items():
            try:
                agrees = _digest(self.path(sha256)) == sha256
            except OSError:
                agrees = False
            if not agrees:
                self.path(sha256).unlink(missing_ok=True)
                damaged.append(name)
        return damaged

    def _make_room(self, missing: Mapping[str, int], wanted: set[str]) -> None:
        """Remove what was not used for longest until `missing` fits.

        Raises:
            LimitError: it does not fit whatever is removed.
        """
        needed = sum(size - min(size, self._begun(sha256)) for sha256, size in missing.items())
        free = self.free_bytes(self.folder) - self.reserve_bytes
        over = self._used() + needed - self.limit_bytes
        for path, size in self._idle(wanted):
            if needed <= free and over <= 0:
                return
            path.unlink(missing_ok=True)
            free, over = free + size, over - size
        if needed > free:
            raise self._full(needed, max(0, free))
        if over > 0:
            raise LimitError(
                "the shelf is full of files in use", where=str(self.folder), needed=format_bytes(needed),
                had=format_bytes(max(0, needed - over)),
            )  # fmt: skip

    def _used(self) -> int:
        return sum(status.st_size for _, status in self._files())

    def _idle(self, wanted: set[str]) -> list[tuple[Path, int]]:
        """Files nobody uses with their sizes, the longest unused first: a link made or removed is a use."""
        idle = [
            (status.st_ctime_ns, path, status.st_size)
            for path, status in self._files()
            if path.name.lstrip(".")[:64] not in wanted and status.st_nlink == 1
        ]
        return [(path, size) for _, path, size in sorted(idle)]

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.iterdir():
            try:
                yield path, path.stat()
            except FileNotFoundError:  # another thread was quicker
                continue

    def _begun(self, sha256: str) -> int:
        try:
            return self._partial(sha256).stat().st_size
        except OSError:
            return 0

    def _partial(self, sha256: str) -> Path:
        return self.folder / f".{sha256}.part"

    def _fetch(self, sha256: str, size: int, source: Source) -> int:
        partial = self._partial(sha256)
        with _held(partial) as file:
            if self.has(sha256, size):  # another thread was quicker
                return 0
            try:
                came = _filled(file, sha256, size, source)
                if _digest(partial) != sha256 and came < size:  # what was there before may be to blame
                    file.truncate(0)
                    came += _filled(file, sha256, size, source)
                found = _digest(partial)
            except OSError as fault:
                partial.unlink(missing_ok=True)
                if fault.errno in _FULL:
                    raise self._full(size, self.free_bytes(self.folder)) from fault
                raise
            if found != sha256:
                partial.unlink(missing_ok=True)
                raise WireError("the hub sent another file than asked for", needed=sha256, had=found)
            partial.replace(self.path(sha256))
            return came

    def _full(self, needed: int, free: int) -> LimitError:
        return LimitError(
            "the disk is full", where=str(self.folder), needed=format_bytes(needed), had=f"{format_bytes(free)} free",
            hint="make room, or move the cache: SHOAL_CACHE=/folder",
        )  # fmt: skip


def check(parts: Parts, *, named: bool = True) -> None:
    """Make sure that no name leads out of a folder, and that hashes are hashes.

    Raises:
        InputError: naming the part.
    """
    for name, (sha256, size) in parts.items():
        way = PurePosixPath(name)
        if named and (not way.parts or way.is_absolute() or ".." in way.parts or "\0" in name):
            raise InputError("a bundle may only name files inside its folder", where=name)
        if not _SHA256.fullmatch(sha256):
            raise InputError("not a SHA-256", where=name, had=sha256[:80])
        if size < 0:
            raise InputError("not a size", where=name, had=str(size))


def _filled(file: IO[bytes], sha256: str, size: int, source: Source) -> int:
    """Bring `file` to `size` bytes; how many came. A connection that breaks is made again a few times.

    Raises:
        WireError: the hub does not answer, or refuses.
    """
    came, pause_s = 0, PAUSE_S
    if file.seek(0, os.SEEK_END) > size:
        file.truncate(0)
    for attempt in range(TRIES):
        start = file.seek(0, os.SEEK_END)
        try:
            for block in source.blocks(sha256, start, size) if start < size else ():
                came += _write(file, block)
            return came
        except Interrupted:
            if attempt == TRIES - 1:
                raise
            time.sleep(pause_s)
            pause_s *= 2
    return came


def _write(file: IO[bytes], block: bytes) -> int:
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]
    return len(block)


@contextmanager
def _held(path: Path) -> Iterator[IO[bytes]]:
    """The file open for appending, by one holder at a time; the lock goes when its holder does."""
    while True:
        with path.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _same_file(file, path):
                yield file
                return
            # whoever had it has finished it or given it up


def _same_file(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unwritable(folder: Path, fault: OSError) -> InputError:
    hint = "set SHOAL_CACHE to a folder that can be written"
    return InputError(f"cannot keep a bundle's files: {fault.strerror}", where=str(folder), hint=hint)
