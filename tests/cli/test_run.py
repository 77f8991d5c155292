"""`shoal run` as a user meets it: arrays from files, and everything that may go wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from shoal import codec
from shoal.cli.app import run
from shoal.graph import load
from shoal.record import Run
from tests.run import plans
from tests.run.test_opsets import inputs, model

ROOT = Path(__file__).parents[2]
STARTED_S = 60.0


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan of two devices in the folder `plan`."""
    graph = load(model(17, "initializers", tmp_path / "model.onnx"))
    codec.save(plans.plan_of(graph, plans.contiguous(graph, 2)), tmp_path / "plan" / "plan.json")
    return tmp_path / "plan"


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one message of a command that ends with exit code 2."""
    assert run([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.startswith("error: ")
    return captured.err


def test_named_arrays_from_a_file(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stacks = {name: np.stack([each[name] for each in inputs()]) for name in inputs()[0]}
    np.savez(tmp_path / "x.npz", **stacks)
    output = tmp_path / "new" / "run.json"
    arguments = (
        "run",
        plan,
        "--input",
        tmp_path / "x.npz",
        "--items",
        6,
        "--over",
        "memory",
        "-o",
        output,
        "--json",
    )
    assert run([str(argument) for argument in arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["outputs_match"] is True
    assert told["items"] == 6
    kept = codec.load(Run, output)
    assert kept.output_digests[0] == kept.output_digests[3] != kept.output_digests[1]


def _without_offset(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"image": given["image"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_offset, ("no array for the input 'offset'", "had image")),
        (lambda given: given | {"image": given["image"][:, :2]}, ("'image'", "[1, 3, 16, 16]", "[1, 2, 16, 16]")),
        (lambda given: given | {"offset": given["offset"].astype(np.int32)}, ("'offset'", "float32", "int32")),
        (lambda given: given | {"offset": np.stack([given["offset"]] * 2)}, ("equally many", "offset 2")),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(
    change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
    words: tuple[str, ...],
    plan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez(tmp_path / "x.npz", **change(inputs()[0]))
    told = refused(capsys, "run", plan, "--input", tmp_path / "x.npz", "-o", tmp_path / "run.json")
    assert all(word in told for word in (*words, "x.npz"))
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and nothing more", b"\x93NUMPY\x01\x00v\x00{'de", b"text"])
def test_files_that_hold_no_arrays(
    content: bytes, plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    assert "x.npz" in refused(capsys, "run", plan, "--input", tmp_path / "x.npz", "-o", tmp_path / "run.json")


def test_a_pickle_is_not_opened(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "x.npz", image=np.array([{"a": 1}], object))
    assert "plain arrays" in refused(capsys, "run", plan, "--input", tmp_path / "x.npz", "-o", tmp_path / "r.json")


@pytest.mark.parametrize("place", ["folder", "file/run.json", "/proc/run.json"])
@pytest.mark.parametrize("option", ["--output", "--trace"])
def test_a_file_that_cannot_be_written_is_found_before_the_work(
    option: str, place: str, plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    began_s = time.monotonic()
    told = refused(capsys, "run", plan, "-o", tmp_path / "run.json", option, tmp_path / place, "--items", 10**9)
    assert "cannot write" in told
    assert str(tmp_path / place) in told
    assert time.monotonic() - began_s < 5


@contextmanager
def streaming(plan: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """`shoal run` in the middle of a million items."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal", "run", str(plan), "--items", "1000000", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        deadline_s = time.monotonic() + STARTED_S
        while not _busy(process):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def _busy(process: subprocess.Popen[str]) -> bool:
    """Whether two workers have waited for so many messages that items must be under way."""
    found = plans.workers(process.pid)
    return len(found) == 2 and all(each.num_ctx_switches().voluntary > 500 for each in found)


def all_gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=3)[1]


@pytest.mark.parametrize("over", ["shm", "tcp"])
def test_a_killed_worker_ends_the_run_and_answers_are_kept(over: str, plan: Path, tmp_path: Path) -> None:
    output = tmp_path / "run.json"
    with streaming(plan, "--over", over, "-o", output) as process:
        workers = plans.workers(process.pid)
        workers[1].kill()
        killed_s = time.monotonic()
        _, told = process.communicate(timeout=30)
        assert time.monotonic() - killed_s < 8  # 2 on a machine that is not shared
        assert process.returncode == 1
    assert "Traceback" not in told
    message = next(line for line in told.splitlines() if line.startswith("error: "))
    assert "d1/cpu is gone (killed by signal 9)" in message
    assert "items in flight: " in message
    assert "which are kept" in message
    assert all_gone(workers)
    kept = codec.load(Run, output)
    assert len(kept.latencies_s) == len(kept.output_digests) > 0
    assert any("d1/cpu is gone" in note for note in kept.notes)


@pytest.mark.parametrize("send", [os.kill, os.killpg])  # by a script; by a terminal, which tells the workers too
def test_interrupted_it_ends_quickly_and_says_nothing_long(
    send: Callable[[int, int], None], plan: Path, tmp_path: Path
) -> None:
    with streaming(plan, "-o", tmp_path / "run.json", "--no-compare") as process:
        workers = plans.workers(process.pid)
        send(process.pid, signal.SIGINT)
        asked_s = time.monotonic()
        _, told = process.communicate(timeout=30)
        assert time.monotonic() - asked_s < 8
        assert process.returncode == 130
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) <= 1
    assert all_gone(workers)


def test_workers_do_not_outlive_a_killed_coordinator(plan: Path, tmp_path: Path) -> None:
    with streaming(plan, "-o", tmp_path / "run.json", "--no-compare") as process:
        workers = plans.workers(process.pid)
        process.kill()
        assert all_gone(workers)


def test_a_worker_killed_while_it_loads_is_named(plan: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal", "run", str(plan), "-o", str(tmp_path / "run.json")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline_s = time.monotonic() + STARTED_S
    while len(found := plans.workers(process.pid)) < 2:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    found[0].kill()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "d0/cpu" in told
    assert "killed by signal 9" in told
    assert "Traceback" not in told
    assert all_gone(found)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--over", "bogus"), "known: memory, mpi, shaped, shm, tcp"),
        (("--over", "tcp:plan=1"), "plain"),
        (("--over", "mpi"), "mpirun.sh"),
        (("--items", "0"), "--items"),
        (("--seed", "-1"), "--seed"),
        (("--input", "nothing.npz"), "nothing.npz: cannot read"),
    ],
)
def test_wrong_options(
    arguments: tuple[str, str], words: str, plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, "run", plan, *arguments, "-o", tmp_path / "run.json")


def test_a_model_that_changed_is_refused(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model(17, "constants", tmp_path / "model.onnx")
    told = refused(capsys, "run", plan, "-o", tmp_path / "run.json")
    assert "changed since it was planned" in told
    (tmp_path / "model.onnx").unlink()
    assert "cannot read" in refused(capsys, "run", plan, "-o", tmp_path / "run.json")
