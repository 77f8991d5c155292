"""A file of records gives back what was written, or says what is wrong with it."""

from __future__ import annotations

import mmap
import os
import resource
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError, ModelError, WorkError
from shoal.store import PAGE, FileTier, Key, write_file
from shoal.store.values import Arrays

SOURCE = np.random.default_rng(5)
RECORDS: dict[Key, Arrays] = {
    Key(0): {"weight": SOURCE.standard_normal((70, 33)).astype(np.float32), "bias": np.arange(7, dtype=np.int8)},
    Key(1, 3): {"codes": SOURCE.integers(0, 255, 3 * PAGE, np.uint8)},
    Key(1, 3, 2): {"empty": np.zeros((0, 4), np.float16), "flag": np.array(True)},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_file(RECORDS.items(), tmp_path / "weights.store")
    return tmp_path / "weights.store"


@pytest.mark.parametrize("direct", [True, False])
def test_what_is_read_is_what_was_written(path: Path, direct: bool) -> None:
    tier = FileTier(path, direct=direct)
    for key, arrays in RECORDS.items():
        held = memoryview(mmap.mmap(-1, tier.records[key].bytes))  # begins with a page, as direct reads need
        tier.read(key, held)
        found = tier.records[key].views(held)
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
    tier.close()
    tier.close()


def test_every_record_is_whole_pages_and_begins_with_one(path: Path) -> None:
    records = FileTier(path).records
    assert [each.offset % PAGE for each in records.values()] == [0, 0, 0]
    assert [each.bytes // PAGE for each in records.values()] == [3, 3, 1]  # 9240 + 7 bytes; three pages; one byte


@pytest.mark.parametrize("key", list(RECORDS))
def test_a_changed_byte_is_found(path: Path, key: Key) -> None:
    tier = FileTier(path, direct=False)
    data = bytearray(path.read_bytes())
    data[tier.records[key].offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=f"{key}: a record of the store is not what was written"):
        tier.read(key, memoryview(bytearray(tier.records[key].bytes)))


def test_a_file_that_is_cut_short_is_refused_at_the_door_and_on_the_way(path: Path) -> None:
    tier, whole = FileTier(path, direct=False), path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(PAGE + 100)
    with pytest.raises(ModelError, match="cut short"):
        tier.read(Key(0), memoryview(bytearray(tier.records[Key(0)].bytes)))
    for size in (len(whole) - 1, PAGE, 20, 0):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match=r"cut short|not a store"):
            FileTier(path)


def test_a_damaged_index_another_kind_of_file_and_none_are_refused(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.write_bytes(data)
    with pytest.raises(ModelError, match="index is damaged"):
        FileTier(path)
    (tmp_path / "other").write_bytes(b"PK" * 4000)
    with pytest.raises(ModelError, match="not a store"):
        FileTier(tmp_path / "other")
    with pytest.raises(ModelError, match="No such file"):
        FileTier(tmp_path / "nothing")


def test_keys_come_once_and_arrays_are_numbers(tmp_path: Path) -> None:
    array = np.zeros(3, np.float32)
    with pytest.raises(InputError, match="each of them once"):
        write_file([(Key(0), {"a": array}), (Key(0), {"b": array})], tmp_path / "x")
    with pytest.raises(InputError, match="each of them once"):
        write_file([], tmp_path / "x")
    with pytest.raises(InputError, match="no array of numbers"):
        write_file([(Key(0), {"a": np.array([{}], object)})], tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pages", [4, 100, 101], ids=["in a record", "at its end", "in the index"])
def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path, pages: int) -> None:
    """As on a full disk, the system refuses to write beyond so many pages."""
    write_file(RECORDS.items(), tmp_path / "x")
    before, limits = (tmp_path / "x").read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (pages * PAGE, limits[1]))
    try:
        for name in ("x", "y"):
            with pytest.raises(WorkError, match=rf"{name}: cannot write the store: File too large"):
                write_file([(Key(0), {"a": np.zeros(100 * PAGE, np.uint8)})], tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == before


def held_of(tier: FileTier, key: Key) -> memoryview:
    held = memoryview(mmap.mmap(-1, tier.records[key].bytes))
    tier.read(key, held)
    return held


@pytest.mark.parametrize("direct", [True, False])
def test_a_record_is_written_in_place_and_stands_once_it_is_settled(path: Path, direct: bool) -> None:
    tier = FileTier(path, direct=direct, writable=True)
    size = path.stat().st_size
    for turn in range(3):
        for key in (Key(0), Key(1, 3)):
            held = held_of(tier, key)
            for array in tier.records[key].views(held).values():
                np.add(array, array, out=array)
            tier.write(key, held)
            held_of(tier, key)  # who writes it reads it at once
        tier.settle()
        other = FileTier(path, direct=direct)
        found = {key: other.records[key].views(held_of(other, key)) for key in RECORDS}
        for name, array in RECORDS[Key(0)].items():
            np.testing.assert_array_equal(found[Key(0)][name], array * 2 ** (turn + 1))
        assert bool(found[Key(1, 3, 2)]["flag"])
    assert abs(path.stat().st_size - size) < 100  # checksums have other numbers of digits


def test_work_that_ends_between_writing_and_settling_is_found(path: Path) -> None:
    tier = FileTier(path, writable=True)
    held = held_of(tier, Key(0))
    held[0] ^= 1
    tier.write(Key(0), held)
    tier.close()
    after = FileTier(path)
    with pytest.raises(ModelError, match="0: a record of the store is not what was written"):
        held_of(after, Key(0))
    held_of(after, Key(1, 3))


def test_what_is_not_opened_for_writing_is_not_written(path: Path) -> None:
    tier, before = FileTier(path), path.read_bytes()
    with pytest.raises(WorkError, match="0: cannot write the store: Bad file descriptor"):
        tier.write(Key(0), memoryview(mmap.mmap(-1, tier.records[Key(0)].bytes)))
    assert path.read_bytes() == before


def test_a_full_disk_is_said_when_a_record_is_written_again(path: Path) -> None:
    resource = pytest.importorskip("resource")
    limits, tier = resource.getrlimit(resource.RLIMIT_FSIZE), FileTier(path, writable=True)
    held = held_of(tier, Key(1, 3))
    resource.setrlimit(resource.RLIMIT_FSIZE, (PAGE, limits[1]))
    try:
        with pytest.raises(WorkError, match="1/3: cannot write the store"):
            tier.write(Key(1, 3), held)
        with pytest.raises(WorkError, match="cannot write the store"):
            tier.settle()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
