"""Control groups of the kernel, where there are any, and the files of both versions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.errors import WorkError
from shoal.run.quota import LEAST_QUOTA_S, PERIOD_S, PREFIX, Groups, groups, period_s

BURN = """
import sys, time
sys.stdin.readline()
start_s, cpu_s = time.monotonic(), time.process_time()
while time.process_time() - cpu_s < 0.1:
    pass
print(time.monotonic() - start_s)
"""
NOBODY = 2**22 + 1  # above every process id


@pytest.fixture
def found() -> Iterator[Groups]:
    here = groups()
    if here is None:
        pytest.skip("the kernel allows no quota here")
    before = set(here.folder.glob(f"{PREFIX}*"))
    yield here
    assert set(here.folder.glob(f"{PREFIX}*")) <= before


def test_a_process_gets_its_share_and_no_more(found: Groups) -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        found.limited({process.pid: 0.2}),
    ):
        told, _ = process.communicate("\n", timeout=60)
    assert float(told) >= 0.1 / 0.2 * 0.85  # the first period is whole, the last one is not waited for


def test_groups_go_whatever_happens(found: Groups) -> None:
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE) as process:
        with pytest.raises(ZeroDivisionError), found.limited({process.pid: 0.2}):
            raise ZeroDivisionError
        process.kill()
    with pytest.raises(WorkError), found.limited({NOBODY: 0.5}):
        pass


def test_groups_of_coordinators_that_were_killed_are_cleared(found: Groups) -> None:
    left = found.folder / f"{PREFIX}{NOBODY}-1"
    left.mkdir()
    with found.limited({}):
        assert not left.exists()


@pytest.mark.parametrize("speed", [0.9, 0.25, 0.1, 0.01])
def test_quotas_are_not_below_what_the_kernel_takes(speed: float) -> None:
    assert period_s(speed) >= PERIOD_S
    assert speed * period_s(speed) >= LEAST_QUOTA_S * (1 - 1e-9)


def test_files_of_the_second_version(tmp_path: Path) -> None:
    group = Groups(tmp_path, second=True)._make(NOBODY, 0.25)
    assert (group / "cpu.max").read_text() == "2500 10000"
    assert (group / "cgroup.procs").read_text() == str(NOBODY)
