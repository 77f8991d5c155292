"""Values to files and back."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shoal import codec
from shoal.errors import InputError


@dataclass(frozen=True)
class Leaf:
    name: str
    size: int | str = 3


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    weights: dict[str, float] = field(default_factory=dict)


TREE = Tree((Leaf("a"), Leaf("b", "2*n")), {"x": 0.1})


def test_a_value_comes_back_as_it_was(tmp_path: Path) -> None:
    codec.save(TREE, tmp_path / "deep" / "tree.json")
    assert codec.load(Tree, tmp_path / "deep" / "tree.json") == TREE
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["tree.json"]


def test_a_file_may_be_read_by_who_may_read_other_files(tmp_path: Path) -> None:
    codec.save(TREE, tmp_path / "tree.json")
    (tmp_path / "other").touch()
    assert (tmp_path / "tree.json").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a Tree: Input data was truncated"),
        (b'{"leaves": [', "truncated"),
        (b'{"leaves": [{"name": 3}]}', r"Expected `str`, got `int` - at `\$.leaves\[0\].name`"),
        (b'{"weights": {}}', "missing required field `leaves`"),
        (b'{"leaves": [{"name": "a", "size": 1.5}]}', r"\$.leaves\[0\].size"),
        (b'{"leaves": []} {}', "trailing"),
        (b"\xff\xfe", "not a Tree"),
        (b'{"leaves": [{"name": "\xff"}]}', "not a Tree"),
        (b'{"other": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not a Tree"),
        (b"null", "Expected `object`"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        codec.decode(Tree, data, "here")
    assert caught.value.where == "here"


def test_a_key_from_a_newer_version_is_passed_over() -> None:
    assert codec.decode(Leaf, b'{"name": "a", "colour": "red"}', "here") == Leaf("a")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read: Is a directory"):
        codec.load(Tree, tmp_path)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write: File exists"):
        codec.save(TREE, tmp_path / "file" / "tree.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write: Is a directory"):
        codec.save(TREE, tmp_path / "folder")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]  # nothing half-written is left behind
    assert not list((tmp_path / "folder").iterdir())


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    codec.save(TREE, tmp_path / "tree.json")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as on a disk with 1000 bytes left
    try:
        with pytest.raises(InputError, match="cannot write: File too large"):
            codec.write_bytes(bytes(5000), tmp_path / "tree.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert codec.load(Tree, tmp_path / "tree.json") == TREE
    assert os.listdir(tmp_path) == ["tree.json"]


RACE = """
import sys, threading
from dataclasses import make_dataclass
from shoal import codec
sys.setswitchinterval(1e-6)
for turn in range(100):
    inner = make_dataclass(f"Inner{turn}", [(f"f{place}", int) for place in range(30)])
    outer = make_dataclass(f"Outer{turn}", [(f"g{place}", inner) for place in range(20)])
    value = outer(*(inner(*range(30)) for _ in range(20)))
    text, barrier, found = codec.encode(value), threading.Barrier(4), []
    def work():
        barrier.wait()
        found.append(codec.decode(outer, text, "a test"))
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert found == [value] * 4
"""


def test_threads_that_meet_a_type_together() -> None:
    """With msgspec alone this ends the process."""
    done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
