"""Training by processes that have a part each is training in one process."""

from __future__ import annotations

import os
import resource
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError, WorkerDied
from shoal.learn import Adam, prepare, train, train_whole, weights
from shoal.learn.units import units
from shoal.learn.values import Share, states_path
from shoal.store import FileTier
from shoal.train.language import Decoder
from shoal.wire.collectives import even

torch = pytest.importorskip("torch")

SMALL = Decoder(width=32, layers=2, heads=2, hidden=80, context=32)
ADAM = Adam(rate=3e-3)
NUMBERS = sum(each.size for each in units(SMALL))


def test_units_are_all_parameters_each_once() -> None:
    found = units(SMALL)
    assert [each.module for each in found] == ["", "layers.0", "layers.1"]
    assert {name: shape for each in found for name, shape in each.shapes} == SMALL.shapes()
    for each in found:
        places = [place for _, _, place in each.spans()]
        assert places[0].start == 0
        assert places[-1].stop == each.size
        assert all(one.stop == other.start for one, other in zip(places, places[1:], strict=False))


@pytest.mark.parametrize("how", ["ring", "direct"])
def test_fifty_steps_of_two_members_are_those_of_one_process(tmp_path: Path, how: str) -> None:
    prepare(tmp_path, SMALL, 2, chunk=5000)
    found = train(tmp_path, 50, adam=ADAM, how=how)
    wanted, last = train_whole(SMALL, 50, adam=ADAM)
    np.testing.assert_allclose(found.losses, wanted, atol=1e-5, rtol=0)
    assert found.losses[-1] < found.losses[0] - 1  # it learns
    made = weights(tmp_path)
    assert set(made) == set(last)
    halves, same = train_whole(SMALL, 50, adam=ADAM, parts=2)
    np.testing.assert_allclose(found.losses, halves, atol=1e-6, rtol=0)
    for name, array in same.items():
        np.testing.assert_allclose(made[name], array, atol=1e-4)
    check_shares(found.shares, 50)


def check_shares(shares: tuple[Share, ...], steps: int) -> None:
    """A member's file is its part of sixteen bytes a parameter; what it sends follows from the sizes."""
    members = len(shares)
    sizes = [each.size for each in units(SMALL)]
    gathers = sizes[0] + 2 * sum(sizes[1:])  # blocks in both directions
    for share in shares:
        assert share.file_bytes == pytest.approx(16 * NUMBERS / members, rel=0.25)  # whole pages of a small model
        sent = 4 * (members - 1) / members * (gathers + sum(sizes)) * steps
        assert share.sent_bytes == pytest.approx(sent, abs=100 * steps)
        assert share.peak_bytes < 16 * NUMBERS + 13 * 4 * 5000 * 4


def test_a_group_goes_on_where_it_ended_and_any_number_of_members_gives_the_same(tmp_path: Path) -> None:
    prepare(tmp_path / "a", SMALL, 3)
    prepare(tmp_path / "b", SMALL, 3)
    once = train(tmp_path / "a", 6, batch=6, adam=ADAM)
    first, then = (train(tmp_path / "b", 3, batch=6, adam=ADAM) for _ in range(2))
    assert first.losses + then.losses == once.losses
    for name, array in weights(tmp_path / "a").items():
        np.testing.assert_array_equal(weights(tmp_path / "b")[name], array)
    np.testing.assert_allclose(once.losses, train_whole(SMALL, 6, batch=6, adam=ADAM)[0], atol=1e-5, rtol=0)


def test_a_member_that_is_killed_is_named_and_its_file_found_damaged(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 2)

    def started(processes: list[int]) -> None:
        threading.Timer(4.0, os.kill, (processes[1], signal.SIGKILL)).start()

    with pytest.raises(WorkerDied, match="partitioned training: member 1 ended early: -9"):
        train(tmp_path, 100_000, started=started)
    with pytest.raises(WorkerDied, match=r"member \d ended early: .*(is not what was written|different numbers of steps)"):
        train(tmp_path, 1)


def test_a_file_that_is_cut_short_and_members_at_different_steps_are_named(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 2)
    kept = states_path(tmp_path, 0).read_bytes()
    train(tmp_path, 1)
    later = states_path(tmp_path, 1).read_bytes()
    states_path(tmp_path, 0).write_bytes(kept)
    with pytest.raises(WorkerDied, match=r"members have done different numbers of steps \(had 0, 1\)"):
        train(tmp_path, 1)
    states_path(tmp_path, 1).write_bytes(later[: len(later) // 2])
    with pytest.raises(WorkerDied, match=r"member 1 ended early: .*states-1.store: the store is cut short"):
        train(tmp_path, 1)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 2)

    def started(processes: list[int]) -> None:  # as a full disk, the system refuses to write there
        resource.prlimit(processes[1], resource.RLIMIT_FSIZE, (4096, 4096))

    with pytest.raises(WorkerDied, match="member 1 ended early: .*cannot write the store"):
        train(tmp_path, 50, started=started)


def test_items_are_divided_evenly_or_refused(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 2)
    for batch in (0, 1, 7):
        with pytest.raises(InputError, match="every member has as many items"):
            train(tmp_path, 1, batch=batch)
    with pytest.raises(InputError, match="cannot read"):
        train(tmp_path / "nowhere", 1)
    with pytest.raises(InputError, match="a group has members"):
        prepare(tmp_path, SMALL, 0)


def test_each_member_has_its_part_of_every_unit(tmp_path: Path) -> None:
    prepare(tmp_path, SMALL, 3)
    for rank in range(3):
        records = FileTier(states_path(tmp_path, rank)).records
        for at, unit in enumerate(units(SMALL)):
            cuts = even(unit.size, 3)
            held = sum(each.parts[0].shape[0] for key, each in records.items() if key.layer == at and key.plane == 0)
            assert held == cuts[rank + 1] - cuts[rank]
