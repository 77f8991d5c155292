"""`make bench`: what could not be measured is named at its end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def test_a_peer_that_is_missing_is_told_in_the_last_line(tmp_path: Path) -> None:
    venv.create(tmp_path, with_pip=False)  # has nothing but the standard library
    bare = tmp_path / "bin" / "python"
    found = _made("zigzag", {"SHOAL_ZIGZAG_PYTHON": str(bare)})
    assert found.returncode == 0, found.stderr
    assert f"not compared: {bare} cannot run zigzag; there: pip install zigzag-dse six" in found.stdout
    last = "== 1 tried; NOT MEASURED, as what they compare with is not installed: zigzag"
    assert found.stdout.splitlines()[-1] == last


def test_a_bench_that_fails_ends_it() -> None:
    found = _made("no_such_bench zigzag", {})
    assert found.returncode != 0
    assert "== bench/zigzag.py" not in found.stdout


def _made(benches: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`make bench` of some benches, under this interpreter instead of one with everything installed anew.

    These tests may themselves run under `make test`: what that make hands down to a make below it (its flags, its
    depth, for which it tells every directory) is not handed on.
    """
    asked = [f"RUN={sys.executable}", f"BENCHES={benches}", "-o", ".venv/done"]
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(
        ["make", "bench", *asked],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env={**own, **settings},
    )
