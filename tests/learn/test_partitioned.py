"""Training by processes that have a part each is training in one process."""

from __future__ import annotations

import os
import resource
import signal
import threading
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, ModelError, ShoalError, WorkerDied
from shoal.learn import Adam, prepare, train, train_whole, weights
from shoal.learn.alone import main as member
from shoal.learn.units import units
from shoal.learn.values import Share, Task, states_path
from shoal.store import PAGE, FileTier
from shoal.train.language import Decoder
from shoal.train.language.corpus import docstrings
from shoal.wire.collectives import FAMILY, Collective, Group, even
from shoal.wire.collectives.contract import Kind
from shoal.wire.collectives.pool import PATH_BYTES
from tests.wire.groups import grouped, together

torch = pytest.importorskip("torch")

SMALL = Decoder(width=32, layers=2, heads=2, hidden=80, context=32)
ADAM = Adam(rate=3e-3)
TEXT = np.frombuffer("\n".join(islice(docstrings(), 1000)).encode(), np.uint8)
NUMBERS = sum(each.size for each in units(SMALL))


def test_units_are_all_parameters_each_once() -> None:
    found = units(SMALL)
    assert [each.module for each in found] == ["", "layers.0", "layers.1"]
    assert {name: shape for each in found for name, shape in each.shapes} == SMALL.shapes()
    for each in found:
        places = [place for _, _, place in each.spans()]
        assert places[0].start == 0
        assert places[-1].stop == each.size
        assert all(one.stop == other.start for one, other in pairwise(places))


def by_threads(folder: Path, members: int, steps: int, batch: int = 6, how: str = "direct") -> list[Share]:
    """What processes do, without the time that they take to start."""
    task = Task(str(folder), steps, batch, ADAM, how=how)

    def done(group: Group) -> Share:
        try:
            return member(task, group)
        except ShoalError:
            group.close()  # as a process that ends
            raise

    with grouped("shm", members) as groups:
        return together(groups, done)


@pytest.mark.timeout(300)
def test_fifty_steps_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 2, text=TEXT, chunk=5000)
    found = train(tmp_path, 50, adam=ADAM)
    wanted, _ = train_whole(SMALL, 50, text=TEXT, adam=ADAM)
    np.testing.assert_allclose(found.losses, wanted, atol=1e-5, rtol=0)
    assert found.losses[-1] < found.losses[0] - 1  # it learns
    halves, last = train_whole(SMALL, 50, text=TEXT, adam=ADAM, parts=2)
    np.testing.assert_allclose(found.losses, halves, atol=1e-6, rtol=0)
    made = weights(tmp_path)
    assert set(made) == set(last)
    for name, array in last.items():
        np.testing.assert_allclose(made[name], array, atol=1e-4)


@pytest.mark.parametrize("how", catalog.names(FAMILY))
def test_what_a_member_has_and_sends_follows_from_the_sizes(tmp_path: Path, how: str) -> None:
    prepare(tmp_path, SMALL, 3, text=TEXT)
    shares, steps, sizes = by_threads(tmp_path, 3, 2, how=how), 2, [each.size for each in units(SMALL)]
    way: Collective = catalog.make(FAMILY, how)

    def sent(kind: Kind, size: int) -> int:
        parts = [end - start for start, end in pairwise(even(size, 3))]
        return sum(way.sent(kind, parts, rank) for rank in range(3))

    gathered = sent("all_gather", sizes[0]) + 2 * sum(
        sent("all_gather", each) for each in sizes[1:]
    )  # in both directions
    summed = sum(sent("reduce_scatter", each) for each in sizes)
    begun = sent("all_gather", 3 * 8)  # how many steps each has done
    met = 2 * PATH_BYTES + 2 * 3 if how == "pool" else 0  # where the pool is, and that all have come
    assert sum(each.sent_bytes for each in shares) == met + begun + steps * 4 * (gathered + summed)
    for share in shares:
        pages = 4 * len(sizes) * PAGE  # that are not full
        assert 16 * NUMBERS / 3 <= share.file_bytes + 100 <= 16 * NUMBERS / 3 + pages + 3 * PAGE


@pytest.mark.parametrize("members", [1, 2, 3])
def test_a_group_goes_on_where_it_ended_and_any_number_of_members_gives_the_same(
    tmp_path: Path, members: int
) -> None:
    prepare(tmp_path / "a", SMALL, members, text=TEXT)
    prepare(tmp_path / "b", SMALL, members, text=TEXT)
    once = by_threads(tmp_path / "a", members, 6)
    parts = [by_threads(tmp_path / "b", members, steps) for steps in (2, 4)]
    for rank, share in enumerate(once):
        assert parts[0][rank].losses + parts[1][rank].losses == share.losses
    for name, array in weights(tmp_path / "a").items():
        np.testing.assert_array_equal(weights(tmp_path / "b")[name], array)
    losses = np.mean([share.losses for share in once], axis=0)
    np.testing.assert_allclose(losses, train_whole(SMALL, 6, text=TEXT, batch=6, adam=ADAM)[0], atol=1e-5, rtol=0)


def test_a_member_that_is_killed_at_work_is_named(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 2, text=TEXT)
    states, killed = states_path(tmp_path, 1), threading.Event()
    before = states.stat().st_mtime_ns

    def kill(process: int) -> None:
        while states.stat().st_mtime_ns == before and not killed.wait(0.001):
            pass
        os.kill(process, signal.SIGKILL)

    def started(processes: list[int]) -> None:
        threading.Thread(target=kill, args=(processes[1],), daemon=True).start()

    try:
        with pytest.raises(WorkerDied, match="partitioned training: member 1 ended early: -9"):
            train(tmp_path, 100_000, started=started)
    finally:
        killed.set()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 2, text=TEXT)

    def started(processes: list[int]) -> None:  # as a full disk, the system refuses to write there
        resource.prlimit(processes[1], resource.RLIMIT_FSIZE, (PAGE, PAGE))

    with pytest.raises(WorkerDied, match=r"member 1 ended early: .*states-1.store.*cannot write the store"):
        train(tmp_path, 50, started=started)


def test_members_at_different_steps_are_refused(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 2, text=TEXT)
    kept = states_path(tmp_path, 0).read_bytes()
    by_threads(tmp_path, 2, 1)
    states_path(tmp_path, 0).write_bytes(kept)
    with pytest.raises(ModelError, match=r"members have done different numbers of steps \(had 0, 1\)"):
        by_threads(tmp_path, 2, 1)


def test_a_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 2, text=TEXT)
    data = states_path(tmp_path, 0).read_bytes()
    states_path(tmp_path, 0).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=r"states-0.store: the store is cut short"):
        by_threads(tmp_path, 2, 1)


def test_items_are_divided_evenly_or_refused(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 2, text=TEXT)
    for batch in (0, 1, 7):
        with pytest.raises(InputError, match="every member has as many items"):
            train(tmp_path, 1, batch=batch)
    with pytest.raises(InputError, match="cannot read"):
        train(tmp_path / "nowhere", 1)
    with pytest.raises(InputError, match="a group has members"):
        prepare(tmp_path, SMALL, 0, text=TEXT)


def test_each_member_has_its_part_of_every_unit(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 3, text=TEXT)
    for rank in range(3):
        records = FileTier(states_path(tmp_path, rank)).records
        for at, unit in enumerate(units(SMALL)):
            cuts = even(unit.size, 3)
            held = sum(
                each.parts[0].shape[0] for key, each in records.items() if key.layer == at and key.plane == 0
            )
            assert held == cuts[rank + 1] - cuts[rank]
