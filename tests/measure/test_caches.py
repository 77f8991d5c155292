"""Caches read from a folder as the system has it, and the bench that fills them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.measure.benches.cached import Cached, _added, _summed
from shoal.measure.caches import STATED, Cache, caches
from shoal.measure.probe import bench_texts


def written(folder: Path, *rows: tuple[str, str, str, str]) -> Path:
    for index, row in enumerate(rows):
        place = folder / f"index{index}"
        place.mkdir(parents=True)
        for name, text in zip(("level", "type", "size", "shared_cpu_list"), row, strict=True):
            (place / name).write_text(f"{text}\n", encoding="ascii")
    return folder


def test_caches_that_hold_data_are_read_nearest_first(tmp_path: Path) -> None:
    folder = written(
        tmp_path, ("3", "Unified", "32M", "0-3,8"), ("1", "Data", "48K", "0"), ("1", "Instruction", "32K", "0")
    )
    assert caches(folder) == (Cache(1, 48 << 10, 1), Cache(3, 32 << 20, 5))


@pytest.mark.parametrize("size", ["", "K", "0K", "many", "-1"])
def test_a_cache_without_a_size_is_left_out(tmp_path: Path, size: str) -> None:
    rows = [("1", "Data", "48K", "0"), ("2", "Unified", size, "0")]
    assert caches(written(tmp_path, *rows)) == (Cache(1, 48 << 10, 1),)


def test_where_the_system_does_not_tell_sizes_are_stated(tmp_path: Path) -> None:
    assert caches(tmp_path / "nothing") == STATED


def test_threads_have_a_cache_each_or_share_it() -> None:
    assert [Cache(2, 100, 2).bytes_of(threads) for threads in (1, 2, 3, 4)] == [100, 100, 200, 200]


def test_each_level_of_this_machine_is_run() -> None:
    texts = bench_texts()
    assert [f"cached:level={cache.level}" for cache in caches()] == [text for text in texts if "cached" in text]
    assert "gemm" in texts


def test_the_bench_tells_level_and_bytes() -> None:
    first = caches()[0]
    sample = Cached(level=first.level, call_bytes=100_000, repeats=2, least_s=0.0).run(2)
    assert sample.subject.startswith(f"bench:cached:{first.level}:{first.bytes_of(2)}:")
    assert (sample.threads, sample.repeats) == (2, 2)
    work = int(sample.subject.rpartition(":")[2])
    assert 0.5 * 100_000 < work <= 100_000


def test_both_ways_to_pass_read_and_write_all_that_is_counted() -> None:
    total, left, right = np.zeros(5, np.float32), np.arange(5, dtype=np.float32), np.ones(5, np.float32)
    _added(total, left, right, 3)
    assert np.array_equal(total, left + right)
    _summed(total, left, right, 3)
    assert np.array_equal(total, 3 * right)


def test_a_level_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no cache of this level"):
        Cached(level=9).run(1)
