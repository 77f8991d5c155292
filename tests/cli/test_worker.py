from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.store import Key, write_file
from shoal.store.remote import RemoteTier
from tests.store.ways import worker


def test_it_says_where_it_listens_and_leaves_when_interrupted(shoal: Any, plan: Path) -> None:
    assert shoal("pack", plan).code == 0
    with subprocess.Popen(
        [sys.executable, "-m", "shoal", "worker", "bundles/zero-cpu", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as worker:  # fmt: skip
        assert worker.stdout is not None
        assert worker.stderr is not None
        line = json.loads(worker.stdout.readline())
        worker.send_signal(signal.SIGINT)
        assert worker.wait(20) == 130
        assert "Traceback" not in worker.stderr.read()
    assert line["listening"].startswith("127.0.0.1:")


def test_a_bundle_that_was_tampered_with_is_refused(shoal: Any, plan: Path) -> None:
    assert shoal("pack", plan).code == 0
    model = next(Path("bundles/pi-cpu").rglob("*.onnx"))
    model.write_bytes(model.read_bytes() + b"\0")
    done = shoal("worker", "bundles/pi-cpu")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert model.name in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no-bundle",), "no-bundle/manifest.json: cannot read"),
        (("bundles/pi-cpu", "--over", "tpc"), "no transport is called 'tpc'\n  hint: did you mean 'tcp'?"),
        (("bundles/pi-cpu", "--listen", "nowhere"), "nowhere"),
        ((), "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes(arguments: tuple[str, ...], told: str, shoal: Any, plan: Path) -> None:
    assert shoal("pack", plan).code == 0
    assert told in shoal("worker", *arguments).complaint


def test_a_store_is_offered_and_only_over_tcp(shoal: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.store"
    write_file([(Key(3), {"w": np.arange(9)})], path)
    with worker(path, module=("shoal", "worker")) as (process, address):
        with closing(RemoteTier(address)) as tier:
            assert list(tier.records) == [Key(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert "records are read over TCP" in shoal("worker", path, "--over", "shm").complaint
    assert "lies beyond this host" in shoal("worker", path, "--listen", "0.0.0.0:0").complaint
    path.write_bytes(path.read_bytes()[:-1])
    assert "cut short" in shoal("worker", path).complaint
