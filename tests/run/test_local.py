"""Real worker processes: they leave in good order, and their deaths are noticed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from shoal import catalog
from shoal.errors import WorkError
from shoal.program import Pace, Workload
from shoal.program.bundle import Bundle
from shoal.run.coordinator import Coordinator
from shoal.run.deploy import lay_out
from shoal.run.local import Processes, Threads
from tests import toy
from tests.harness import answered, coordinating, manifest, stream, workers, zeros
from tests.programs import chain, paced

A, B = "a/cpu", "b/cpu"
WITHIN_S = 2.0


@pytest.fixture(autouse=True)
def nobody_left() -> Iterator[None]:
    """No test leaves a child, running or dead."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    deadline_s = time.monotonic() + WITHIN_S
    while left := {child.pid for child in psutil.Process().children(recursive=True)} - before:
        assert time.monotonic() < deadline_s, f"left behind: {left}"
        time.sleep(0.01)


@pytest.mark.parametrize("over", ["tcp", "shm"])
def test_workers_leave_in_good_order(over: str, tmp_path: Path) -> None:
    made = chain(A, B)
    with workers(made, tmp_path, over) as found:
        assert isinstance(found, Processes)
        endpoint = catalog.make("wire/transports", over).client(made, found.addresses())
        coordinator = Coordinator(made, endpoint, watch=found.watch)
        coordinator.wait_ready()
        assert not answered(coordinator, Workload(3), zeros(made)).outcome.failure
        assert found.watch() is None
        coordinator.stop()
        endpoint.close()
        for pid in found.pids().values():
            _await_end(pid)
        words = {unit: found._last_words(unit) for unit in (A, B)}
        assert found.close() == {A: 0, B: 0}
    assert words == {A: "", B: ""}


def _await_end(pid: int) -> None:
    """By itself: nobody has asked it to a second time."""
    deadline_s = time.monotonic() + WITHIN_S
    while _lives(psutil.Process(pid)):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize("over", ["tcp", "shm"])
def test_a_killed_worker_ends_the_run_soon_and_its_answers_are_kept(over: str, tmp_path: Path) -> None:
    made = chain(A, B)
    killed_s: list[float] = []
    with workers(made, tmp_path, over, paced(made, {"s0": 0.01, "s1": 0.01})) as found:
        assert isinstance(found, Processes)
        endpoint = catalog.make("wire/transports", over).client(made, found.addresses())
        coordinator = Coordinator(made, endpoint, paced(made, {"s0": 0.01, "s1": 0.01}), watch=found.watch)
        coordinator.wait_ready()
        kept: list[int] = []

        def keep(item: int, _: object) -> None:
            kept.append(item)
            if item == 10:
                os.kill(found.pids()[B], signal.SIGKILL)
                killed_s.append(time.monotonic())

        outcome = coordinator.run(stream(), Workload(1000, window=4), zeros(made), keep)
        took_s = time.monotonic() - killed_s[0]
        endpoint.close()
    assert took_s < WITHIN_S
    assert outcome.failure.startswith("b/cpu is gone (killed by signal 9); items in flight: ")
    in_flight = [int(word) for word in outcome.failure.rpartition(": ")[2].split(", ")]
    assert 1 <= len(in_flight) <= 4
    assert kept == list(range(len(kept)))  # what was answered before
    assert len(kept) >= 11
    assert in_flight == list(range(len(kept), len(kept) + len(in_flight)))
    assert [answer.item for answer in outcome.observed.answers] == kept


def test_a_killed_worker_is_noticed_while_others_are_silent(tmp_path: Path) -> None:
    """It dies between two runs."""
    made = chain(A, B)
    with workers(made, tmp_path, "tcp") as found:
        assert isinstance(found, Processes)
        endpoint = catalog.make("wire/transports", "tcp").client(made, found.addresses())
        coordinator = Coordinator(made, endpoint, watch=found.watch)
        coordinator.wait_ready()
        os.kill(found.pids()[A], signal.SIGKILL)
        begun_s = time.monotonic()
        with pytest.raises(WorkError, match=r"a/cpu is gone \(killed by signal 9\)"):
            coordinator.run(stream(), Workload(1), zeros(made), lambda *_: None)
        assert time.monotonic() - begun_s < WITHIN_S
        endpoint.close()


def test_a_worker_that_cannot_load_says_why(tmp_path: Path) -> None:
    toy.write(tmp_path)
    made = toy.program()
    folders = {unit: tmp_path / unit.replace("/", "-") for unit in made.units}
    for unit, folder in folders.items():
        lay_out(made, manifest(made, unit, tmp_path), tmp_path, folder)
    (folders[toy.ARM] / "move.onnx").unlink()
    processes = Processes(folders, "tcp")
    begun_s = time.monotonic()
    with pytest.raises(WorkError, match=r"arm/cpu: did not start: .*move\.onnx: a file is missing"):
        processes.addresses()
    processes.close()
    assert time.monotonic() - begun_s < 10  # it does not wait for those that could start


def test_a_thread_that_cannot_load_says_why(tmp_path: Path) -> None:
    toy.write(tmp_path)
    made = toy.program()
    (tmp_path / "move.onnx").write_bytes(b"not a model")
    bundles = {unit: Bundle(made, manifest(made, unit, tmp_path), tmp_path) for unit in made.units}
    threads = Threads(bundles, catalog.make("wire/transports", "memory"))
    with pytest.raises(WorkError, match=r"arm/cpu: did not start: .*cannot load 'move\.onnx'"):
        threads.addresses()
    assert threads.watch() is not None


def test_a_worker_that_fails_at_work_says_why(tmp_path: Path) -> None:
    """The toy's log is bounded; the item that would outgrow it ends the run."""
    toy.write(tmp_path)
    made = replace(toy.program(), sizes={"steps": 3})
    workload = toy.races(40)
    with coordinating(made, tmp_path, "tcp") as (coordinator, _):
        outcome = answered(coordinator, workload, toy.inputs(workload)).outcome
    assert "eye/cpu is gone (state 'log' is full" in outcome.failure
    assert "items in flight" in outcome.failure
    assert outcome.observed.answers


CHILD = """
import sys, time
from pathlib import Path
from shoal import catalog
from shoal.program import Workload
from shoal.run.coordinator import Coordinator
from tests.harness import stream, workers, zeros
from tests.programs import chain, paced

made = chain("a/cpu", "b/cpu")
pace = paced(made, {"s0": 0.05, "s1": 0.05})
with workers(made, Path(sys.argv[1]), "tcp", pace) as found:
    print(*found.pids().values(), flush=True)
    addresses = found.addresses()
    if sys.argv[2] == "working":
        coordinator = Coordinator(made, catalog.make("wire/transports", "tcp").client(made, addresses), pace)
        coordinator.wait_ready()
        print("at work", flush=True)
        coordinator.run(stream(), Workload(10000), zeros(made), lambda *_: None)
    print("at work", flush=True)
    time.sleep(100)
"""


@pytest.mark.parametrize("phase", ["waiting", "working"])
def test_workers_leave_when_their_coordinator_is_killed(phase: str, tmp_path: Path) -> None:
    """Also those that nobody has spoken to yet."""
    coordinator = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path), phase], stdout=subprocess.PIPE, text=True
    )
    assert coordinator.stdout is not None
    found = [psutil.Process(int(pid)) for pid in coordinator.stdout.readline().split()]
    assert len(found) == 2
    assert coordinator.stdout.readline() == "at work\n"
    coordinator.kill()
    coordinator.wait()
    coordinator.stdout.close()
    deadline_s = time.monotonic() + WITHIN_S
    while alive := [process for process in found if _lives(process)]:
        assert time.monotonic() < deadline_s, f"still there: {alive}"
        time.sleep(0.01)


def _lives(process: psutil.Process) -> bool:
    """Whether it still runs; who adopts the dead need not be quick to bury them."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_worker_that_hangs_is_ended(tmp_path: Path) -> None:
    made = chain(A)
    with workers(made, tmp_path, "tcp") as found:
        assert isinstance(found, Processes)
        found.addresses()
        os.kill(found.pids()[A], signal.SIGSTOP)
        begun_s = time.monotonic()
        assert found.close() == {A: -signal.SIGKILL}
        assert time.monotonic() - begun_s < WITHIN_S + 1


def test_an_idle_worker_uses_no_cpu(tmp_path: Path) -> None:
    with coordinating(chain(A, B), tmp_path, "tcp") as (_, found):
        assert isinstance(found, Processes)
        processes = [psutil.Process(pid) for pid in found.pids().values()]
        before_s = [sum(process.cpu_times()[:2]) for process in processes]
        time.sleep(0.5)
        after_s = [sum(process.cpu_times()[:2]) for process in processes]
    assert after_s == pytest.approx(before_s, abs=0.011)  # the system counts in steps of 10 ms


def test_threads_end_with_their_client(tmp_path: Path) -> None:
    before = threading.active_count()
    pace = Pace({"s0": 0.001, "s1": 0.001})
    with coordinating(chain(A, B), tmp_path, "memory", pace) as (coordinator, _):
        assert threading.active_count() == before + 2
        answered(coordinator, Workload(2), zeros(chain(A, B)))
    assert threading.active_count() == before
