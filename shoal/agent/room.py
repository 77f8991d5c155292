"""A folder of this process's own below the cache; what processes that are gone left behind is removed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from pathlib import Path
from typing import IO

from shoal import cache
from shoal.errors import InputError

LOCK = ".lock"


class Room:
    """The folder of this process for bundles in use. Held by a lock that goes when its holder does."""

    def __init__(self, kind: str = "bundles") -> None:
        """Make the folder, below the cache folder's `kind`.

        Raises:
            InputError: the cache folder cannot be written.
        """
        place = cache.folder(kind)
        try:
            place.mkdir(parents=True, exist_ok=True)
            with (place / LOCK).open("w") as entrance:
                fcntl.flock(entrance, fcntl.LOCK_EX)  # no folder is without its lock for others to see
                _sweep(place)
                self.folder = Path(tempfile.mkdtemp(dir=place))
                self._lock = _locked(self.folder)
        except OSError as fault:
            hint = "set SHOAL_CACHE to a folder that can be written"
            raise InputError(f"cannot keep bundles: {fault.strerror}", where=str(place), hint=hint) from fault

    def make(self) -> Path:
        """A new folder inside."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def clear(self, folder: Path) -> None:
        """Remove a folder inside."""
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _locked(folder: Path) -> IO[str]:
    file = (folder / LOCK).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def _sweep(place: Path) -> None:
    for folder in place.iterdir():
        if not folder.is_dir():
            continue
        try:
            _locked(folder).close()
        except BlockingIOError:  # its process lives
            continue
        shutil.rmtree(folder, ignore_errors=True)
