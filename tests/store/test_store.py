"""The store on real files and threads."""

from __future__ import annotations

import mmap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, LimitError, ModelError, WorkError
from shoal.store import PAGE, POLICIES, FileTier, Key, MemoryTier, Policy, TensorStore, Throttled, write_file
from shoal.store.replicas import Replicas

LAYERS, BYTES = 6, 1 << 18
ARRAYS = {Key(at): {"w": np.full((BYTES // 8,), at, np.int64)} for at in range(LAYERS)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_file(ARRAYS.items(), tmp_path / "store")
    return tmp_path / "store"


def opened(path: Path, layers: int, policy: str = "cyclic") -> TensorStore:
    found: Policy = catalog.make(POLICIES, policy)
    return TensorStore(FileTier(path), layers * BYTES, found)


@pytest.mark.parametrize("layers", [1, 2, 4, LAYERS])
def test_all_records_go_through_a_budget(path: Path, layers: int) -> None:
    with opened(path, layers) as store:
        for _ in range(3):
            for key in sorted(ARRAYS):
                with store.hold([key]) as (found,):
                    assert (found["w"] == key.layer).all()
        told = store.told()
    assert told.peak_bytes <= layers * BYTES
    assert len(told.uses) == 3 * LAYERS
    assert told.read_bytes == len(told.reads) * BYTES
    hits = {1: 0, 2: 3, 4: 8, LAYERS: 12}  # the most there can be: by trying every choice of what leaves
    assert sum(each.hits for each in told.uses) == hits[layers]


def test_the_next_is_read_while_this_one_is_used(path: Path) -> None:
    rate = BYTES / 0.03
    found: Policy = catalog.make(POLICIES, "cyclic")
    with TensorStore(Throttled(FileTier(path), rate), 3 * BYTES, found) as store:
        for at in range(LAYERS):
            with store.hold([Key(at)]):
                store.preload([Key((at + 1) % LAYERS)])
                time.sleep(0.04)
        told = store.told()
    assert [each.late + each.hits for each in told.uses] == [0] + [1] * (LAYERS - 1)
    overlapped = [
        read
        for read in told.reads[1:]
        if any(use.ready_s <= read.begun_s and read.ended_s <= use.ended_s for use in told.uses)
    ]
    assert len(overlapped) >= LAYERS - 2  # a busy machine may delay one


def test_what_is_to_follow_is_asked_for_in_one_with_what_is_used(path: Path) -> None:
    found: Policy = catalog.make(POLICIES, "lru")
    with TensorStore(Throttled(FileTier(path), BYTES / 0.01), 4 * BYTES, found) as store:
        store.preload([Key(3), Key(4), Key(5)])
        while not store.told().reads:
            time.sleep(0.001)
        with store.hold([Key(0), Key(1)], then=[Key(2)]):
            time.sleep(0.03)
        with pytest.raises(InputError, match="nothing is stored"), store.hold([Key(1)], then=[Key(LAYERS)]):
            pass
        told = store.told()
    order = [each.key.layer for each in told.reads]
    assert order[-3:] == [0, 1, 2]
    assert 5 not in order  # struck: at most the one before had begun
    assert [each.demanded for each in told.reads[-3:]] == [True, True, False]
    assert [each.then for each in told.uses] == [(Key(2),)]


@pytest.mark.serial
def test_a_preload_gives_way_and_what_came_of_it_is_kept(path: Path) -> None:
    found: Policy = catalog.make(POLICIES, "lru")
    with TensorStore(Throttled(FileTier(path), BYTES / 0.4), 3 * BYTES, found) as store:
        store.preload([Key(3)])
        time.sleep(0.1)
        with store.hold([Key(0)]) as (first,):
            assert (first["w"] == 0).all()
        with store.hold([Key(3)]) as (other,):
            assert (other["w"] == 3).all()
        told = store.told()
    part, first_read, rest = told.reads
    assert [(each.key, each.whole) for each in told.reads] == [(Key(3), False), (Key(0), True), (Key(3), True)]
    assert part.bytes + rest.bytes == first_read.bytes == BYTES
    assert 0 < part.bytes < BYTES
    assert (told.records_read, told.read_bytes) == (2, 2 * BYTES)
    assert (told.uses[1].hits, told.uses[1].late) == (0, 1)


@pytest.mark.serial
def test_what_came_in_parts_is_checked_as_a_whole(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[FileTier(path).records[Key(3)].offset + BYTES - 7] ^= 255
    path.write_bytes(data)
    with TensorStore(Throttled(FileTier(path), BYTES / 0.4), 3 * BYTES, catalog.make(POLICIES, "lru")) as store:
        store.preload([Key(3)])
        time.sleep(0.1)
        with (
            pytest.raises(ModelError, match="store, 3: a record of the store is not what was written"),
            store.hold([Key(3)]),
        ):
            pass


def test_a_throttled_tier_keeps_its_rate(path: Path) -> None:
    tier = Throttled(FileTier(path), BYTES / 0.02, 0.005)
    assert tier.figures.emulated
    begun_s = time.perf_counter()
    for _ in range(2):
        for key in ARRAYS:
            tier.read(key, memoryview(mmap.mmap(-1, BYTES)))
    took_s = time.perf_counter() - begun_s
    assert took_s >= 2 * LAYERS * 0.025


@pytest.mark.serial
def test_what_came_in_parts_and_is_damaged_comes_from_another_replica(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[FileTier(path).records[Key(3)].offset + 7] ^= 255
    (tmp_path / "damaged").write_bytes(data)
    tier = Throttled(Replicas([FileTier(tmp_path / "damaged"), FileTier(path)]), BYTES / 0.4)
    with TensorStore(tier, 3 * BYTES, catalog.make(POLICIES, "lru")) as store:
        store.preload([Key(3)])
        time.sleep(0.1)
        with store.hold([Key(3)]) as (found,):
            assert (found["w"] == 3).all()


@pytest.mark.serial
def test_a_record_in_pieces_goes_on_over_a_throttled_line(path: Path) -> None:
    latency_s, whole_s, half = 0.4, 0.1, BYTES // 2
    tier, held = Throttled(FileTier(path), BYTES / whole_s, latency_s), memoryview(mmap.mmap(-1, BYTES))
    begun_s = time.perf_counter()
    tier.read(Key(0), held[:half])
    time.sleep(whole_s / 4)  # what came is looked at
    tier.read(Key(0), held[half:], half)
    on_s = time.perf_counter() - begun_s
    tier.read(Key(1), held[:half])
    tier.read(Key(0), held[half:], half)  # another read was between: it begins anew
    took_s = time.perf_counter() - begun_s
    assert latency_s + whole_s <= on_s < 2 * latency_s
    assert took_s >= on_s + 2 * latency_s + whole_s
    assert bytes(held) == bytes(ARRAYS[Key(1)]["w"][: half // 8]) + bytes(ARRAYS[Key(0)]["w"][half // 8 :])


def test_damage_reaches_whoever_waits_and_the_rest_still_works(path: Path) -> None:
    with opened(path, 2) as store:
        data = bytearray(path.read_bytes())
        at = FileTier(path).records[Key(3)].offset
        data[at + 7] ^= 255
        path.write_bytes(data)  # the same file: its inode stays
        with pytest.raises(ModelError, match="not what was written"), store.hold([Key(3)]):
            pass
        with store.hold([Key(2), Key(4)]) as (second, fourth):
            assert (second["w"][0], fourth["w"][0]) == (2, 4)
        with pytest.raises(ModelError, match="not what was written"), store.hold([Key(3)]):
            pass


class Gone(MemoryTier):
    """A tier that disappears in the middle of a read."""

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        raise WorkError("the peer has left", where=str(key))


def test_a_tier_that_disappears_is_an_error_and_no_hang() -> None:
    with TensorStore(Gone(ARRAYS.items()), BYTES * 2, catalog.make(POLICIES, "lru")) as store:
        store.preload([Key(1)])
        with pytest.raises(WorkError, match="the peer has left"), store.hold([Key(0)]):
            pass


def test_a_read_that_fails_is_an_error_for_everybody_who_waits_for_it() -> None:
    together, told = threading.Event(), list[str]()

    class Slow(Gone):
        def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
            together.wait(10)
            super().read(key, into, offset)

    def wait(store: TensorStore) -> None:
        with pytest.raises(WorkError, match="the peer has left") as fault, store.hold([Key(0)]):
            pass
        told.append(fault.value.message)

    with TensorStore(Slow(ARRAYS.items()), BYTES, catalog.make(POLICIES, "lru")) as store:
        users = [threading.Thread(target=wait, args=(store,), daemon=True) for _ in range(4)]
        for each in users:
            each.start()
        time.sleep(0.05)  # all of them wait by now; who comes later has the record read once more
        together.set()
        for each in users:
            each.join(10)
    assert len(told) == len(users)


class Once(MemoryTier):
    """A tier whose first read fails."""

    failed = threading.Event()

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        if not self.failed.is_set():
            self.failed.set()
            raise WorkError("not now", where=str(key))
        super().read(key, into, offset)


def test_what_failed_beforehand_is_read_again_when_it_is_asked_for() -> None:
    tier = Once(ARRAYS.items())
    with TensorStore(tier, BYTES * 2, catalog.make(POLICIES, "lru")) as store:
        store.preload([Key(1)])
        assert tier.failed.wait(5)
        with (
            store.hold([Key(0)]),
            store.hold([Key(1)]) as (found,),
        ):  # reads go in order: the preload is over by then
            np.testing.assert_array_equal(found["w"], ARRAYS[Key(1)]["w"])


def test_more_than_the_budget_at_once_is_refused_and_leaves_the_store_usable(path: Path) -> None:
    with opened(path, 2) as store:
        with pytest.raises(LimitError, match="larger than the budget"), store.hold([Key(0), Key(1), Key(2)]):
            pass
        with store.hold([Key(0), Key(1)]):
            pass


def test_many_users_at_once_get_what_they_ask_for(path: Path) -> None:
    wrong: list[int] = []

    def use(store: TensorStore, seed: int) -> None:
        source = np.random.default_rng(seed)
        for layer in source.integers(0, LAYERS, 40):
            with store.hold([Key(int(layer))]) as (found,):
                wrong.extend([int(layer)] * int((found["w"] != layer).any()))

    with TensorStore(FileTier(path), 4 * BYTES, catalog.make(POLICIES, "lru"), readers=2) as store:
        users = [threading.Thread(target=use, args=(store, seed)) for seed in range(4)]
        for each in users:
            each.start()
        for each in users:
            each.join(30)
            assert not each.is_alive()
    assert wrong == []


def test_an_array_that_is_kept_is_found_out_when_its_memory_is_needed(tmp_path: Path) -> None:
    sizes = [3, 2, 1]
    write_file(
        [(Key(at), {"w": np.zeros(size * PAGE, np.uint8)}) for at, size in enumerate(sizes)], tmp_path / "store"
    )
    with TensorStore(FileTier(tmp_path / "store"), 3 * PAGE, catalog.make(POLICIES, "lru")) as store:
        with store.hold([Key(0)]) as (found,):
            kept = found["w"]
        assert not found
        with pytest.raises(WorkError, match="used after it was let go"), store.hold([Key(1)]):
            pass
        with pytest.raises(WorkError, match="used after it was let go"), store.hold([Key(2)]):
            pass
    assert not kept.any()


def test_a_closed_store_says_so(path: Path) -> None:
    store = opened(path, 2)
    store.close()
    store.close()
    with pytest.raises(WorkError, match="closed"), store.hold([Key(0)]):
        pass
