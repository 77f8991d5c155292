"""Workers of a device: several side by side, watched, ended, refused when memory is short."""

from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.agent.crew import LET_GO, Crew, Key, least_bytes
from shoal.agent.room import Room
from shoal.errors import LimitError, WorkError
from shoal.program import Program
from shoal.program import bundle as bundles
from shoal.program.bundle import Bundle
from shoal.run.deploy import lay_out
from tests import harness, toy

GIB = 1 << 30


def _bundle(program: Program, unit: str, source: Path, folder: Path) -> Bundle:
    lay_out(program, harness.manifest(program, unit, source), source, folder)
    return bundles.read(folder)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    toy.write(tmp_path / "source")
    return tmp_path / "source"


def _key(bundle: Bundle) -> Key:
    return Key(bundle.manifest.program_hash, bundle.program.epoch, bundle.manifest.unit)


def _wait(crew: Crew) -> list[tuple[Key, str]]:
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        found = crew.reap()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("nobody ended")


def test_epochs_stand_side_by_side_and_are_told_apart(tmp_path: Path, source: Path) -> None:
    crew = Crew("tcp", "127.0.0.1", GIB)
    programs = toy.program(), replace(toy.program(), epoch=1)
    made = [_bundle(program, toy.EYE, source, tmp_path / str(program.epoch)) for program in programs]
    try:
        addresses = [crew.start(bundle) for bundle in made]
        assert len(set(addresses)) == 2
        there = crew.vitals()
        assert {(each.unit, each.epoch) for each in there} == {(toy.EYE, 0), (toy.EYE, 1)}
        assert all(each.resident_bytes > 20 << 20 and each.cpu_s > 0 for each in there)
        assert crew.end(_key(made[0]))
        assert not crew.end(_key(made[0]))
        assert [each.epoch for each in crew.vitals()] == [1]
        assert [bundle.folder.exists() for bundle in made] == [False, True]
    finally:
        crew.close()
    assert crew.vitals() == ()
    assert not made[1].folder.exists()


def test_a_death_is_noticed_and_logged_with_its_reason(
    tmp_path: Path, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crew = Crew("tcp", "127.0.0.1", GIB)
    bundle = _bundle(toy.program(), toy.ARM, source, tmp_path / "bundle")
    try:
        crew.start(bundle)
        os.kill(crew._workers[_key(bundle)].process.pid, signal.SIGKILL)
        assert _wait(crew) == [(_key(bundle), "killed by signal 9")]
    finally:
        crew.close()
    assert "arm/cpu of epoch 0" in caplog.text
    assert caplog.records[-1].levelno == logging.WARNING


def test_a_worker_that_is_let_go_is_no_death(tmp_path: Path, source: Path) -> None:
    program = toy.program()
    crew = Crew("tcp", "127.0.0.1", GIB)
    try:
        addresses = {
            unit: crew.start(_bundle(program, unit, source, tmp_path / unit[:3])) for unit in program.units
        }
        from shoal import catalog

        endpoint = catalog.make("wire/transports", "tcp").client(program, addresses)
        endpoint.close()
        ended = _wait(crew)
        while len(ended) < 2:
            ended += _wait(crew)
        assert {why for _, why in ended} == {LET_GO}
    finally:
        crew.close()


def test_a_worker_that_does_not_begin_says_why(tmp_path: Path, source: Path) -> None:
    crew = Crew("tcp:wait_s=never", "127.0.0.1", GIB)
    with pytest.raises(WorkError, match=r"eye/cpu: did not start: .*wait_s"):
        crew.start(_bundle(toy.program(), toy.EYE, source, tmp_path / "bundle"))
    assert crew.vitals() == ()
    assert not (tmp_path / "bundle").exists()


def test_what_does_not_fit_is_refused_with_figures(tmp_path: Path, source: Path) -> None:
    first, second = (_bundle(toy.program(), unit, source, tmp_path / unit[:3]) for unit in (toy.EYE, toy.ARM))
    with pytest.raises(LimitError, match=r"no memory left .*needed 32(\.\d)? MiB, had 10 MiB of 10 MiB"):
        Crew("tcp", "127.0.0.1", 10 << 20).start(first)
    first = _bundle(toy.program(), toy.EYE, source, tmp_path / "eye")
    crew = Crew("tcp", "127.0.0.1", 2 * least_bytes(first) - 1)
    try:
        crew.start(first)
        with pytest.raises(LimitError, match="beside 1 other workers"):
            crew.start(second)
    finally:
        crew.close()


def test_rooms_of_the_dead_are_cleared_and_those_of_the_living_stay() -> None:
    first = Room()
    (first.make() / "file").write_text("x")
    second = Room()
    assert first.folder.exists()
    left = first.folder
    first._lock.close()  # as when its process is gone
    third = Room()
    assert not left.exists()
    assert second.folder.exists()
    second.close()
    third.close()
    assert not second.folder.exists()
