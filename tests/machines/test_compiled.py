"""The decorator of cycle loops: the same function with numba, without it, and as its plain twin."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from shoal.machines._compiled import plain

LOOP = '''
from shoal.machines._compiled import compiled


@compiled
def total(values):
    """A sum."""
    found = 0.0
    for value in values:
        found += value
    return found
'''
WITHOUT = """
import sys
sys.modules["numba"] = None
import loop
assert type(loop.total).__name__ == "function"
print(loop.total([1.0, 2.5]))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "loop.py").write_text(LOOP)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "loop", raising=False)
    return tmp_path


def test_the_plain_twin_is_as_written_and_gives_the_same(folder: Path) -> None:
    pytest.importorskip("numba")
    loop = import_module("loop")
    values = np.linspace(0, 1, 101)
    assert hasattr(loop.total, "py_func")
    assert not hasattr(plain(loop).total, "py_func")
    assert loop.total(values) == plain(loop).total(values)


def test_without_numba_it_runs_as_written(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "3.5\n"), done.stderr
