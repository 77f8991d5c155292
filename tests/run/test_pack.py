"""Packed folders on their own: started by hand over TCP, and by a real mpirun."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.models import light
from shoal import codec
from shoal.errors import InputError
from shoal.graph import load
from shoal.record import Run
from shoal.run.pack import pack
from tests.run import plans
from tests.run.test_opsets import model

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
UNITS = ("d0/cpu", "d1/cpu")


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """A small plan of two devices, packed and moved elsewhere; the model is gone."""
    path = model(17, "initializers", tmp_path / "model.onnx")
    graph = load(path)
    pack(plans.plan_of(graph, plans.alternating(graph, 2)), tmp_path / "packed")
    path.unlink()
    return (tmp_path / "packed").rename(tmp_path / "moved here")


def environment(cache: Path) -> dict[str, str]:
    """Of a machine that has shoal but never saw the model."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**os.environ, **root, "PYTHONPATH": str(ROOT), "PATH": path, "SHOAL_CACHE": str(cache)}


@contextmanager
def worker(bundle: Path, listen: str = "127.0.0.1:0") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal", "worker", str(bundle), "--listen", listen],
        env=environment(bundle.parent / "cache"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def listening(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    address: str = json.loads(process.stdout.readline())["listening"]
    return address


def client(bundles: Path, addresses: dict[str, str], output: Path) -> subprocess.CompletedProcess[str]:
    at = [f"--at={unit}={address}" for unit, address in addresses.items()]
    return subprocess.run(
        ["sh", bundles / "client" / "start.sh", *at, "--items", "40", "-o", output],
        env=environment(bundles / "cache"), capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


def test_strangers_at_the_port_change_nothing(bundles: Path, tmp_path: Path) -> None:
    """Garbage, silence, a scanner that leaves: the run goes through and its answers match."""
    with worker(bundles / "d0-cpu") as first, worker(bundles / "d1-cpu") as second:
        addresses = dict(zip(UNITS, map(listening, (first, second)), strict=True))
        strangers = []
        for address in addresses.values():
            host, _, port = address.rpartition(":")
            for said in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 5000, os.urandom(3000), b""):
                strangers.append(socket.create_connection((host, int(port))))
                strangers[-1].sendall(said)
            socket.create_connection((host, int(port))).close()
        done = client(bundles, addresses, tmp_path / "run.json")
        for stranger in strangers:
            stranger.close()
        assert done.returncode == 0, done.stderr
        assert [process.wait(10) for process in (first, second)] == [0, 0]
    found = codec.load(Run, tmp_path / "run.json")
    assert found.outputs_match
    assert len(found.latencies_s) == 40


def test_a_port_in_use_is_said(bundles: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with worker(bundles / "d0-cpu", address) as process:
            _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert address in told
    assert "in use" in told
    assert "Traceback" not in told


def test_nobody_there_is_said(bundles: Path, tmp_path: Path) -> None:
    done = client(bundles, dict.fromkeys(UNITS, "127.0.0.1:9"), tmp_path / "run.json")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_altered_file_is_named(bundles: Path) -> None:
    file = alter(bundles / "d1-cpu")
    with worker(bundles / "d1-cpu") as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"{file}: not the file the manifest names" in told


def alter(bundle: Path) -> str:
    """Change one bit of a file, not its length; its name."""
    path = next(bundle.glob("*/segment.onnx"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return str(path.relative_to(bundle))


def test_a_strangers_folder_is_not_written_to(tmp_path: Path) -> None:
    graph = load(model(17, "initializers", tmp_path / "model.onnx"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not empty"):
        pack(plans.plan_of(graph, plans.contiguous(graph, 2)), tmp_path / "mine")


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/packed"])
def test_a_folder_that_cannot_be_made_is_refused(place: str, tmp_path: Path) -> None:
    graph = load(model(17, "initializers", tmp_path / "model.onnx"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write|not a folder"):
        pack(plans.plan_of(graph, plans.contiguous(graph, 2)), tmp_path / place)


def mpirun(bundles: Path, folder: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    pytest.importorskip("mpi4py")
    began_s = time.monotonic()
    done = subprocess.run(
        [bundles / "mpirun.sh", "--oversubscribe"],
        cwd=folder, env=environment(folder / "cache"), capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    return done, time.monotonic() - began_s


@pytest.mark.slow
@pytest.mark.parametrize("spread", [plans.contiguous, plans.alternating])
def test_three_ranks_need_only_their_folders(
    spread: plans.Spread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.copytree(light.seeded("squeezenet").parent, tmp_path / "source")
    graph = load(source / "model.onnx")
    pack(plans.plan_of(graph, spread(graph, 2)), tmp_path / "packed")
    shutil.rmtree(source)
    bundles, folder = (tmp_path / "packed").rename(tmp_path / "moved"), tmp_path / "elsewhere"
    folder.mkdir()
    done, _ = mpirun(bundles, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "listening" not in done.stdout
    found = codec.load(Run, folder / "run.json")
    assert found.outputs_match
    assert found.reference_magnitude
    assert len(found.latencies_s) == found.items == 32
    for figures in found.devices.values():
        assert figures.busy_s > 0
        assert figures.cpu_s
        assert figures.resident_bytes is not None
        assert figures.resident_bytes > 20e6
        assert figures.sent_bytes > 0


def test_an_altered_file_ends_the_whole_job(bundles: Path, tmp_path: Path) -> None:
    file = alter(bundles / "d1-cpu")
    done, seconds = mpirun(bundles, tmp_path)
    assert done.returncode == 2
    assert f"{file}: not the file the manifest names" in done.stderr
    assert "Traceback" not in done.stderr
    assert seconds < 30
    assert not (tmp_path / "run.json").exists()
