"""What `shoal serve` refuses before it starts anything; that it serves is tested in tests/serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--deadline", "10"), "--deadline: a figure without its unit"),
        (("--drain", "3 MiB"), "--drain: another kind of unit"),
        (("--pixels", "size=3"), "--pixels: 'size=3' says nothing of pixels"),
        (("--labels", "nowhere.txt"), "nowhere.txt: cannot read: No such file or directory"),
        (("--name", "a/b"), "--name: 'a/b' cannot be part of an address"),
        (("--host", "0.0.0.0", "--port", "0"), "other hosts would be served unencrypted"),
        (("--port", "0", "--identity", "nowhere"), "nowhere: no identity"),
        (("--port", "70000"), "'--port'"),
        (("--queue", "0"), "'--queue'"),
    ],
)
def test_a_wrong_option_is_refused(options: tuple[str, ...], message: str, shoal: Any, plan: Path) -> None:
    assert message in shoal("serve", plan, *options).complaint


def test_a_missing_library_is_named(plan: Path) -> None:
    code = (
        f"import sys; sys.modules['fastapi'] = None; from shoal.cli import app; app.run(['serve', {str(plan)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == "error: fastapi is not installed\n  hint: pip install 'shoal[serve]'\n"


def test_help_loads_no_http_library() -> None:
    code = (
        "import sys; from shoal.cli import app; app.run(['serve', '--help']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"fastapi", "uvicorn", "prometheus_client", "onnxruntime"} & set(done.stderr.split())
