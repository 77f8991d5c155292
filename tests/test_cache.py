"""The cache folder: whole entries only, built once, built again when damaged."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from shoal import cache
from shoal.errors import InputError


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builder:
    """Writes a file, and counts how often it was asked."""

    def __init__(self, content: bytes = b"content") -> None:
        self.content, self.calls = content, 0

    def __call__(self, place: Path) -> None:
        self.calls += 1
        (place / "file").write_bytes(self.content)


def test_an_entry_is_built_once() -> None:
    build = Builder()
    first = cache.entry("kind", "key", build)
    assert cache.entry("kind", "key", build) == first
    assert build.calls == 1
    assert (first / "file").read_bytes() == b"content"
    assert cache.entry("kind", "other", build) != first


@pytest.mark.parametrize("content", [b"cOntent", b"cont", b""])
def test_a_changed_file_is_built_again(content: bytes) -> None:
    build = Builder()
    place = cache.entry("kind", "key", build)
    (place / "file").write_bytes(content)
    os.utime(place / "file", ns=(1, 1))
    assert (cache.entry("kind", "key", build) / "file").read_bytes() == b"content"
    assert build.calls == 2


def test_a_touched_or_linked_file_is_kept(tmp_path: Path) -> None:
    build = Builder()
    place = cache.entry("kind", "key", build)
    os.utime(place / "file", ns=(1, 1))
    cache.hand_out(place / "file", tmp_path / "bundle" / "file")
    assert (tmp_path / "bundle" / "file").read_bytes() == b"content"
    cache.entry("kind", "key", build)
    assert build.calls == 1


@pytest.mark.parametrize("fault", [ValueError("x"), InputError("x")])
def test_a_failing_build_leaves_nothing(fault: Exception, root: Path) -> None:
    def build(place: Path) -> None:
        (place / "half").write_bytes(b"")
        raise fault

    with pytest.raises(type(fault)):
        cache.entry("kind", "key", build)
    assert not [path for path in (root / "kind").iterdir() if path.is_dir()]


def test_many_at_once_build_once() -> None:
    build = Builder()
    threads = [threading.Thread(target=cache.entry, args=("kind", "key", build)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert build.calls == 1


def test_digests_are_known_without_reading() -> None:
    place = cache.entry("kind", "key", Builder())
    assert cache.digests(place) == {"file": cache.digest(place / "file")}


def test_a_digest_follows_the_content(tmp_path: Path) -> None:
    """Also when size and time stamp stay, as after unpacking an archive with fixed times."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 1))
    first = cache.digest(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert cache.digest(path) != first


def test_a_folder_that_cannot_be_made_is_named(root: Path) -> None:
    root.write_text("a file is in the way")
    with pytest.raises(InputError, match="cannot keep") as caught:
        cache.entry("kind", "key", Builder())
    assert caught.value.hint == "set SHOAL_CACHE to a folder that can be written"


def test_what_was_not_used_for_longest_goes_first() -> None:
    """Four entries of a little more than 1000 bytes fit."""
    build = Builder(bytes(1000))
    places = [cache.entry("kind", f"key{number}", build, most_bytes=4800) for number in range(4)]
    for number, place in enumerate(places):
        os.utime(place, (number, number))
    cache.entry("kind", "key0", build, most_bytes=4800)  # used again
    last = cache.entry("kind", "key4", build, most_bytes=4800)
    assert [place.exists() for place in (*places, last)] == [True, False, True, True, True]
