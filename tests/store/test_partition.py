"""A record read in parts by several members is the record, and what is lost or damaged is said."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal import catalog
from shoal.errors import ModelError, ShoalError, WorkerDied
from shoal.store import PAGE, FileTier, Key, TensorStore, Throttled, Tier, write_file
from shoal.store.partition import Owned, Partitioned, part_path, split, whole_records
from shoal.wire.collectives import FAMILY, Group
from tests.wire.groups import grouped, together

SOURCE = np.random.default_rng(2)
ARRAYS = {
    Key(at): {"w": SOURCE.standard_normal((size,)).astype(np.float32)} for at, size in enumerate((90_000, 3, 5_000))
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_file(ARRAYS.items(), tmp_path / "whole.store")
    return tmp_path / "whole.store"


def partitioned(path: Path, group: Group) -> Partitioned:
    mine = FileTier(part_path(path.parent, group.rank))
    return Partitioned(whole_records(path.parent), mine, group, catalog.make(FAMILY, "direct"))


def owned(path: Path, group: Group) -> Owned:
    tier = FileTier(path) if group.rank == 0 else None
    return Owned(whole_records(path.parent), tier, group, catalog.make(FAMILY, "direct"))


def read_all(tier: Tier) -> dict[Key, NDArray[Any]]:
    found = {}
    for key, record in tier.records.items():
        held = memoryview(mmap.mmap(-1, record.bytes))
        tier.read(key, held)
        found[key] = record.views(held)["w"]
    return found


@pytest.mark.parametrize("made", [partitioned, owned])
@pytest.mark.parametrize("members", [1, 2, 3, 5])
def test_what_is_read_together_is_what_was_written(
    path: Path, members: int, made: Callable[[Path, Group], Tier]
) -> None:
    split(FileTier(path), path.parent, members)
    with grouped("shm", members) as groups:
        for found in together(groups, lambda group: read_all(made(path, group))):
            for key, arrays in ARRAYS.items():
                np.testing.assert_array_equal(found[key], arrays["w"])


def test_a_member_has_its_part_of_every_record_on_disk(path: Path) -> None:
    split(FileTier(path), path.parent, 4)
    whole = FileTier(path).records[Key(0)].bytes
    sizes = [FileTier(part_path(path.parent, rank)).records[Key(0)].bytes for rank in range(4)]
    assert sum(sizes) == whole
    assert max(sizes) - min(sizes) <= PAGE


def test_a_store_reads_ahead_from_all_members(path: Path) -> None:
    split(FileTier(path), path.parent, 2)

    def used(group: Group) -> float:
        total, policy = 0.0, catalog.make("store/policies", "cyclic")
        with TensorStore(partitioned(path, group), 2 << 20, policy) as store:
            for key in sorted(ARRAYS):
                with store.hold([key]) as (found,):
                    total += float(found["w"].sum(dtype=np.float64))
        return total

    with grouped("shm", 2) as groups:
        wanted = sum(float(each["w"].sum(dtype=np.float64)) for each in ARRAYS.values())
        assert together(groups, used) == [wanted, wanted]


def test_a_damaged_part_ends_all_members(path: Path) -> None:
    split(FileTier(path), path.parent, 3)
    mine = part_path(path.parent, 1)
    data = bytearray(mine.read_bytes())
    data[FileTier(mine).records[Key(0)].offset] ^= 1
    mine.write_bytes(data)

    def faults(group: Group) -> ShoalError:
        with pytest.raises(ShoalError) as found:
            read_all(partitioned(path, group))
        if isinstance(found.value, ModelError):  # the others stay: who leaves is named
            group.close()
        return found.value

    with grouped("shm", 3) as groups:
        first, second, third = together(groups, faults)
    assert isinstance(second, ModelError)
    assert isinstance(first, WorkerDied)
    assert isinstance(third, WorkerDied)
    assert (first.where, third.where) == ("member/1", "member/1")


def test_parts_of_another_store_are_found(path: Path, tmp_path: Path) -> None:
    split(FileTier(path), path.parent, 2)
    other = tmp_path / "other"
    write_file([(key, {"w": arrays["w"] + 1}) for key, arrays in ARRAYS.items()], other / "whole.store")
    split(FileTier(other / "whole.store"), other, 2)
    part_path(path.parent, 1).write_bytes(part_path(other, 1).read_bytes())

    def fault(group: Group) -> str:
        with pytest.raises(ModelError) as found:
            read_all(partitioned(path, group))
        return found.value.message

    with grouped("memory", 2) as groups:
        assert together(groups, fault) == ["0: parts do not make up the record"] * 2


@pytest.mark.serial
@pytest.mark.parametrize("members", [2, 4])
def test_parts_are_read_at_the_same_time(path: Path, members: int) -> None:
    """Threads here; processes in the study."""
    split(FileTier(path), path.parent, members)
    rate = FileTier(path).records[Key(0)].bytes / 0.4

    def seconds(group: Group) -> float:
        mine = Throttled(FileTier(part_path(path.parent, group.rank)), rate)
        tier = Partitioned(whole_records(path.parent), mine, group, catalog.make(FAMILY, "direct"))
        assert tier.figures.read_bytes_per_s == pytest.approx(members * rate)
        begun_s = time.perf_counter()
        tier.read(Key(0), memoryview(mmap.mmap(-1, tier.records[Key(0)].bytes)))
        return time.perf_counter() - begun_s

    with grouped("shm", members) as groups:
        assert max(together(groups, seconds)) < 0.4 / members * 1.5
