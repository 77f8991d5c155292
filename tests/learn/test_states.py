"""States in a file: read and written in place, in a fixed memory, three chunks at once."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.errors import InputError, ModelError
from shoal.learn.adam import F32
from shoal.learn.states import Kind, States, write_states
from shoal.store import PAGE, FileTier, Key

SIZES, CHUNK = (2500, 1, 0, 999), 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    parts = [np.arange(size, dtype=np.float32) for size in SIZES]
    write_states(parts, CHUNK, tmp_path / "states")
    return tmp_path / "states"


def loaded(states: States, unit: int, kind: Kind) -> F32:
    found = np.empty(SIZES[unit], np.float32)
    states.load(unit, kind, found)
    return found


def test_what_is_kept_is_there_when_it_is_opened_again(path: Path) -> None:
    states = States(path)
    assert states.steps == 0
    gradients = [
        np.random.default_rng(unit).standard_normal(size).astype(np.float32) for unit, size in enumerate(SIZES)
    ]
    for unit, gradient in enumerate(gradients):
        np.testing.assert_array_equal(loaded(states, unit, Kind.WEIGHT), np.arange(SIZES[unit]))
        states.keep(unit, Kind.GRADIENT, gradient)
    states.settle(7)
    states.close()
    again = States(path)
    assert again.steps == 7
    for unit, gradient in enumerate(gradients):
        np.testing.assert_array_equal(loaded(again, unit, Kind.GRADIENT), gradient)
        np.testing.assert_array_equal(loaded(again, unit, Kind.WEIGHT), np.arange(SIZES[unit]))
        assert not loaded(again, unit, Kind.MEAN).any()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=4).filter(any), chunk=st.integers(100, 4000))
def test_a_sweep_changes_every_number_once(tmp_path: Path, sizes: list[int], chunk: int) -> None:
    write_states([np.full(size, unit, np.float32) for unit, size in enumerate(sizes)], chunk, tmp_path / "states")
    states = States(tmp_path / "states")
    for unit, size in enumerate(sizes):
        states.keep(unit, Kind.GRADIENT, np.arange(size, dtype=np.float32))

    def change(weight: F32, gradient: F32, mean: F32, square: F32) -> None:
        weight += gradient
        mean += 1
        square += 2

    states.sweep(change)
    for unit, size in enumerate(sizes):
        for kind, wanted in ((Kind.WEIGHT, unit + np.arange(size)), (Kind.MEAN, np.ones(size)), (Kind.SQUARE, 2 * np.ones(size))):  # fmt: skip
            found = np.empty(size, np.float32)
            states.load(unit, kind, found)
            np.testing.assert_array_equal(found, wanted)
    states.close()


def test_one_chunk_comes_and_one_goes_while_one_is_changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change waits for what must happen meanwhile; were it not overlapped, it would wait in vain."""
    moved, chunks = threading.Condition(), 5
    read, written = set[int](), set[int]()

    def counted(method: str, seen: set[int]) -> None:
        real = getattr(FileTier, method)

        def does(tier: FileTier, key: Key, held: memoryview) -> None:
            real(tier, key, held)
            with moved:
                if key.plane == Kind.SQUARE:
                    seen.add(10 * key.layer + key.part)
                moved.notify_all()

        monkeypatch.setattr(FileTier, method, does)

    states, at = States(path), 0
    counted("read", read)
    counted("write", written)

    def change(*_: F32) -> None:
        nonlocal at
        with moved:
            assert moved.wait_for(lambda: len(read) >= min(at + 2, chunks) and len(written) >= at, 5)
        at += 1

    states.sweep(change)
    assert (at, len(read), len(written)) == (chunks, chunks, chunks)
    assert states.buffer_bytes == 3 * 4 * PAGE


def test_a_crash_in_the_middle_of_a_sweep_is_found_by_a_checksum(path: Path) -> None:
    states, left = States(path), 2

    def change(weight: F32, *_: F32) -> None:
        nonlocal left
        weight += 1
        left -= 1
        if not left:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        states.sweep(change)
    states.close()
    after = States(path)
    with pytest.raises(ModelError, match="is not what was written"):
        loaded(after, 0, Kind.WEIGHT)


def test_a_file_cut_short_another_number_of_states_and_empty_chunks_are_refused(path: Path) -> None:
    states = States(path)
    with pytest.raises(
        InputError, match=r"unit 0: the file has another number of states \(needed 2501, had 2500\)"
    ):
        states.load(0, Kind.WEIGHT, np.empty(2501, np.float32))
    states.close()
    data = path.read_bytes()
    path.write_bytes(data[:-3])
    with pytest.raises(ModelError, match="the store is cut short"):
        States(path)
    with pytest.raises(InputError, match="a chunk has a number at least"):
        write_states([np.zeros(3, np.float32)], 0, path)
