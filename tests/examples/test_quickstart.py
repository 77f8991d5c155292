"""The quickstart prints what its file of expected output says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import docs_runner

ROOT = Path(__file__).parents[2]


def test_it_prints_what_it_should(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.quickstart"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    docs_runner.compare((ROOT / "examples" / "quickstart.out").read_text(), done.stdout, "quickstart.out")
    assert (tmp_path / "quickstart.html").read_text().startswith("<!doctype html>")
