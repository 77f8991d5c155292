"""Files by hash: fetched over mutual TLS, resumed, checked, laid out, removed when long unused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shoal.agent import shelf as shelves
from shoal.agent.hub import Hub
from shoal.agent.shelf import Shelf
from shoal.agent.source import Source
from shoal.errors import InputError, LimitError, WireError
from shoal.identity import Identity
from tests.agent import parties
from tests.agent.parties import content, files

MIB = 1 << 20


@pytest.fixture
def source(hub: Hub, pi: Identity) -> Callable[[], Source]:
    return lambda: parties.source(hub.port, pi)


def test_only_what_is_missing_is_fetched(tmp_path: Path, hub: Hub, source: Callable[[], Source]) -> None:
    parts, paths = files(tmp_path / "from", {"a": 3 * MIB + 17, "b": 5, "empty": 0})
    hub.offer(paths)
    shelf = Shelf(tmp_path / "shelf")
    assert set(shelf.missing(parts).values()) == {3 * MIB + 17, 5, 0}
    assert shelf.fetch(parts, source) == 3 * MIB + 22
    assert shelf.fetch(parts, source) == 0
    more, more_paths = files(tmp_path / "from", {"c": 100})
    hub.offer(more_paths)
    assert shelf.fetch(parts | more, source) == 100
    shelf.lay_out(parts, tmp_path / "bundle")
    assert {file.name: file.read_bytes() for file in (tmp_path / "bundle").iterdir()} == {
        name: content(name, size) for name, (_, size) in parts.items()
    }
    assert (tmp_path / "bundle" / "a").stat().st_ino == shelf.path(parts["a"][0]).stat().st_ino


def test_a_fetch_goes_on_where_the_last_one_ended(tmp_path: Path, hub: Hub, source: Callable[[], Source]) -> None:
    parts, paths = files(tmp_path / "from", {"a": 2 * MIB})
    hub.offer(paths)
    sha256 = parts["a"][0]
    shelf = Shelf(tmp_path / "shelf")
    shelf.folder.mkdir()
    (shelf.folder / f".{sha256}.part").write_bytes(content("a", 2 * MIB)[: MIB + 3])
    assert shelf.fetch(parts, source) == MIB - 3
    assert shelf.path(sha256).read_bytes() == content("a", 2 * MIB)
    assert [file.name for file in shelf.folder.iterdir()] == [sha256]


def test_a_damaged_beginning_is_fetched_again(tmp_path: Path, hub: Hub, source: Callable[[], Source]) -> None:
    parts, paths = files(tmp_path / "from", {"a": MIB})
    hub.offer(paths)
    shelf = Shelf(tmp_path / "shelf")
    shelf.folder.mkdir()
    (shelf.folder / f".{parts['a'][0]}.part").write_bytes(bytes(1000))
    assert shelf.fetch(parts, source) == 2 * MIB - 1000
    assert shelf.path(parts["a"][0]).read_bytes() == content("a", MIB)


class _Cutting:
    """A relay that cuts the connection after so many bytes from the hub, so many times; then lets all through."""

    def __init__(self, port: int, after_bytes: int, times: int) -> None:
        self._port, self._after_bytes, self.cuts, self._times = port, after_bytes, 0, times
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._pump, args=(near, far, 1 << 62), daemon=True).start()
            left = self._after_bytes if self.cuts < self._times else 1 << 62
            threading.Thread(target=self._pump, args=(far, near, left), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, left: int) -> None:
        with source, target:
            try:
                while left > 0 and (block := source.recv(min(left, 65536))):
                    target.sendall(block)
                    left -= len(block)
                self.cuts += left <= 0
                target.shutdown(socket.SHUT_RDWR)
                source.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def test_cut_connections_are_made_again(
    tmp_path: Path, hub: Hub, pi: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "PAUSE_S", 0.01)
    parts, paths = files(tmp_path / "from", {"a": 3 * MIB})
    hub.offer(paths)
    relay = _Cutting(hub.port, MIB, 2)
    try:
        came = Shelf(tmp_path / "shelf").fetch(parts, lambda: parties.source(relay.port, pi))
    finally:
        relay.close()
    assert (came, relay.cuts) == (3 * MIB, 2)


def test_a_file_with_another_content_never_appears(tmp_path: Path, hub: Hub, source: Callable[[], Source]) -> None:
    parts, paths = files(tmp_path / "from", {"a": 1000})
    hub.offer(paths)
    (tmp_path / "offered" / parts["a"][0]).unlink()
    (tmp_path / "offered" / parts["a"][0]).write_bytes(bytes(1000))
    shelf = Shelf(tmp_path / "shelf")
    with pytest.raises(WireError, match=f"another file than asked for.*{parts['a'][0]}"):
        shelf.fetch(parts, source)
    assert list(shelf.folder.iterdir()) == []


def test_a_file_of_another_length_is_refused_before_it_is_taken(
    tmp_path: Path, hub: Hub, source: Callable[[], Source]
) -> None:
    parts, paths = files(tmp_path / "from", {"a": 1000})
    hub.offer(paths)
    with pytest.raises(WireError, match=r"needed 10 B from 0, had 1000 B"):
        Shelf(tmp_path / "shelf").fetch({"a": (parts["a"][0], 10)}, source)


def test_what_is_not_offered_is_not_to_be_had(tmp_path: Path, hub: Hub, source: Callable[[], Source]) -> None:
    with pytest.raises(WireError, match="404 there is nothing of that name"):
        Shelf(tmp_path / "shelf").fetch({"a": ("0" * 64, 1)}, source)


@pytest.mark.parametrize("name", ["../a", "/a", "x/../../a", "", "a\0b"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="inside its folder"):
        Shelf(tmp_path).missing({name: ("0" * 64, 1)})


@pytest.mark.parametrize(("sha256", "size"), [("0" * 63, 1), ("0" * 63 + "/", 1), ("A" * 64, 1), ("0" * 64, -1)])
def test_hashes_that_are_none_are_refused(tmp_path: Path, sha256: str, size: int) -> None:
    with pytest.raises(InputError, match=r"not a (SHA|size)"):
        Shelf(tmp_path).missing({"a": (sha256, size)})


def test_no_room_is_said_before_anything_is_fetched(tmp_path: Path, hub: Hub, source: Callable[[], Source]) -> None:
    parts, paths = files(tmp_path / "from", {"a": 3 * MIB})
    hub.offer(paths)
    shelf = Shelf(tmp_path / "shelf", reserve_bytes=0, free_bytes=lambda _: MIB)
    with pytest.raises(LimitError, match=r"the disk is full \(needed 3 MiB, had 1 MiB free\)"):
        shelf.fetch(parts, source)
    assert list(shelf.folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_disk_that_fills_up_meanwhile_keeps_nothing_of_the_file(
    tmp_path: Path, hub: Hub, source: Callable[[], Source]
) -> None:
    parts, paths = files(tmp_path / "from", {"a": 3 * MIB})
    hub.offer(paths)
    (tmp_path / "small").mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", tmp_path / "small"], check=False
    ).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        shelf = Shelf(tmp_path / "small" / "shelf", free_bytes=lambda _: 1 << 40)
        with pytest.raises(LimitError, match=r"the disk is full \(needed 3 MiB"):
            shelf.fetch(parts, source)
        assert list(shelf.folder.iterdir()) == []
        honest = Shelf(tmp_path / "small" / "shelf", reserve_bytes=0)
        with pytest.raises(LimitError, match=r"the disk is full \(needed 3 MiB, had 2 MiB free\)"):
            honest.fetch(parts, source)
    finally:
        subprocess.run(["umount", "-l", tmp_path / "small"], check=True)


def test_the_longest_unused_goes_and_what_a_bundle_uses_stays(
    tmp_path: Path, hub: Hub, source: Callable[[], Source]
) -> None:
    parts, paths = files(tmp_path / "from", {"a": 1000, "b": 1001, "c": 1002, "d": 1003})
    hub.offer(paths)
    shelf = Shelf(tmp_path / "shelf", limit_bytes=3100)
    for name in "abc":
        shelf.fetch({name: parts[name]}, source)
    shelf.lay_out({"a": parts["a"]}, tmp_path / "bundle")  # in use
    shelf.lay_out({"b": parts["b"]}, tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")  # used after c
    shelf.fetch({"d": parts["d"]}, source)
    assert {name for name in parts if shelf.has(*parts[name])} == {"a", "b", "d"}


def test_files_in_use_that_fill_the_shelf_are_an_error(
    tmp_path: Path, hub: Hub, source: Callable[[], Source]
) -> None:
    parts, paths = files(tmp_path / "from", {"a": 1000, "b": 1001})
    hub.offer(paths)
    shelf = Shelf(tmp_path / "shelf", limit_bytes=1500)
    shelf.fetch({"a": parts["a"]}, source)
    shelf.lay_out({"a": parts["a"]}, tmp_path / "bundle")
    with pytest.raises(LimitError, match=r"full of files in use \(needed 0.978 KiB, had 500 B\)"):
        shelf.fetch({"b": parts["b"]}, source)


def test_damaged_files_are_found_and_removed(tmp_path: Path, hub: Hub, source: Callable[[], Source]) -> None:
    parts, paths = files(tmp_path / "from", {"a": 1000, "b": 1001})
    hub.offer(paths)
    shelf = Shelf(tmp_path / "shelf")
    shelf.fetch(parts, source)
    assert shelf.discard_damaged(parts) == []
    with shelf.path(parts["b"][0]).open("r+b") as file:
        file.write(b"\xff")
    assert shelf.discard_damaged(parts) == ["b"]
    assert shelf.fetch(parts, source) == 1001


def test_two_threads_fetch_a_file_once(tmp_path: Path, hub: Hub, source: Callable[[], Source]) -> None:
    parts, paths = files(tmp_path / "from", {"a": 4 * MIB})
    hub.offer(paths)
    shelf, came = Shelf(tmp_path / "shelf"), []
    threads = [threading.Thread(target=lambda: came.append(shelf.fetch(parts, source))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == [0, 0, 4 * MIB]


def test_what_is_offered_is_linked_once_and_trimmed_when_nobody_else_has_it(tmp_path: Path) -> None:
    parts, paths = files(tmp_path / "from", {"a": 1000, "b": 1001, "c": 1002})
    shelf = Shelf(tmp_path / "offered", limit_bytes=2500)
    shelf.trim()
    for sha256, path in paths.items():
        shelf.put(sha256, path)
    inode = shelf.path(parts["a"][0]).stat().st_ino
    assert inode == (tmp_path / "from" / "a").stat().st_ino
    shelf.trim()  # links cost nothing
    assert shelf.missing(parts) == {}
    (tmp_path / "copy").write_bytes(content("a", 1000))
    shelf.put(parts["a"][0], tmp_path / "copy")  # somebody may be fetching it
    assert shelf.path(parts["a"][0]).stat().st_ino == inode
    (tmp_path / "from" / "b").unlink()
    shelf.trim()
    assert {name for name in parts if shelf.has(*parts[name])} == {"a", "c"}
    with pytest.raises(InputError, match="cannot read"):
        shelf.put("0" * 64, tmp_path / "nowhere")
