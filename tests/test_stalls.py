"""Failures in a stall are run again; others are not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFTEST = """
from tests.stalls import Stalls

def pytest_configure(config):
    config.pluginmanager.register(Stalls())
"""

CASES = """
import os, subprocess, time

runs = {}

def run(name):
    runs[name] = runs.get(name, 0) + 1
    return runs[name]

def stall():
    pid = os.getpid()
    subprocess.Popen(["bash", "-c", f"kill -STOP {pid}; sleep 0.6; kill -CONT {pid}"])
    time.sleep(0.8)

def test_in_two_stalls():
    if run("two") <= 2:
        stall()
        raise AssertionError

def test_in_every_stall():
    run("every")
    stall()
    raise AssertionError(f"run {runs['every']}")

def test_without_a_stall():
    assert run("none") == 2
"""


def test_failures_in_a_stall_are_run_again(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_cases.py").write_text(CASES)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    assert "2 failed, 1 passed" in told
    assert "RUN AGAIN test_cases.py::test_in_two_stalls" in told
    assert "AssertionError: run 3" in told
    assert "assert 1 == 2" in told
