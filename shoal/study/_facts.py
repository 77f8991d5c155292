"""How a result came to be: what a reader needs in order to obtain it again."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import shoal
from shoal import catalog

LIBRARIES = ("numpy", "onnx", "onnxruntime", "ncnn", "scipy", "highspy", "torch")


@dataclass(frozen=True)
class Made:
    """How, where and when a result was made."""

    command: str  # "shoal study autodice:items=8"
    options: Mapping[str, str]  # all of them, the defaults too
    seed: int | None
    versions: Mapping[str, str]
    commit: str  # of shoal's repository, "" outside of one; ends in "+" if the package was changed since
    processor: str
    cores: int  # those this process may use
    started_at: str  # ISO 8601, UTC
    duration_s: float


def versions() -> dict[str, str]:
    """Shoal's, Python's and those of the installed libraries that figures depend on; none is imported."""
    found = {"shoal": shoal.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's model in words."""
    from shoal.measure import machine_id

    return machine_id().partition(" [")[0]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def commit() -> str:
    """The commit that the package stands on, with "+" if its files differ; "" if it is in no repository."""
    root = catalog.ROOT.parent
    if not (root / ".git").exists():
        return ""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", catalog.ROOT.name, ":(exclude)shoal/study/results")
    return head + "+" * bool(head and changed)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(catalog.ROOT.parent), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
