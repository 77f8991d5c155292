"""A few hundred of the bench's malformed and unauthenticated attempts at a worker process."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench._malformed import ATTEMPTS, INCOMPLETE, MESSAGES, Attempt, tensor
from bench.strangers import UNIT, Camp, Siege, besiege, program
from shoal.errors import WireError
from shoal.program import CLIENT
from shoal.program.message import HEADER_BYTES, unpack
from shoal.wire.topology import check_way


def test_nothing_malformed_or_unauthenticated_gets_in_or_costs_memory() -> None:
    report = besiege(5 * len(ATTEMPTS), seed=1)
    assert report.attempts == 5 * len(ATTEMPTS)
    assert (dict(report.accepted), report.crashes) == ({}, 0)
    assert report.served >= 10
    assert report.grown_bytes < 6e6
    assert report.peak_bytes < 8e6  # headers claimed up to 64 MB, and far more


@contextmanager
def siege(tmp_path: Path) -> Iterator[Siege]:
    camp = Camp(tmp_path)
    command = [sys.executable, "-m", "bench.strangers", "--worker", str(camp.worker)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        try:
            assert worker.stdout
            yield Siege(camp, json.loads(worker.stdout.readline())["listening"], 0)
        finally:
            worker.kill()


def test_what_is_right_counts_as_accepted(tmp_path: Path) -> None:
    """So a siege that reports none could have reported one."""
    with siege(tmp_path) as made:
        assert made.accepted(Attempt("certificate", "coordinator"))
        assert made.answered(tensor(program()))
        assert made.honest()


@pytest.mark.parametrize("kind", [kind for kind in MESSAGES if "control, " not in kind])
def test_a_header_is_refused_before_its_payload_is_looked_at(kind: str) -> None:
    what = program()
    for seed in range(50):
        data = MESSAGES[kind](random.Random(seed), what)
        if len(data) >= HEADER_BYTES and kind not in INCOMPLETE:
            with pytest.raises(WireError):
                check_way(what, unpack(data[:HEADER_BYTES], what, CLIENT), CLIENT, UNIT)
