"""What tests have shown: read from the file that pytest writes, run where there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import shoal
from shoal import cache
from shoal.errors import InputError, WorkError

ROOT = Path(shoal.__file__).parent.parent  # of a checkout: where `tests` is
MOST_BYTES = 64 << 20
PATIENCE_S = 900
FAILED = ("failure", "error", "skipped")


@dataclass(frozen=True)
class Evidence:
    """Tests that ran, and whether they passed."""

    passed: Mapping[str, bool]  # by node id, "tests/file.py::test_name[parameters]"
    made_s: float = float("inf")  # when, as files have it

    def of(self, test: str) -> bool | None:
        """Whether this test passed, for all its parameters where none are named; None: it did not run."""
        found = [each for name, each in self.passed.items() if test in (name, name.partition("[")[0])]
        return all(found) if found else None


NONE = Evidence({})


def read_junit(path: Path) -> Evidence:
    """The tests in a file of pytest's `--junit-xml`.

    Raises:
        InputError: it is no such file.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError("too large for a list of tests", where=str(path), needed=f"at most {MOST_BYTES} bytes")
        content = path.read_bytes()
        if b"<!DOCTYPE" in content:
            raise InputError("a list of tests declares no types of its own", where=str(path))
        cases = ElementTree.fromstring(content).iter("testcase")
    except (OSError, ElementTree.ParseError) as fault:
        raise InputError(f"cannot read the list of tests: {fault}", where=str(path)) from fault
    found = {_node(each): not any(each.find(kind) is not None for kind in FAILED) for each in cases}
    return Evidence(found, path.stat().st_mtime)


def kept_junit() -> Path:
    """Where the last run's file is."""
    return cache.folder("taxonomy") / "junit.xml"


def kept_evidence() -> Evidence:
    """What the last run has shown; nothing, where there was none."""
    path = kept_junit()
    return read_junit(path) if path.exists() else NONE


def run_tests(tests: Iterable[str], root: Path = ROOT) -> Evidence:
    """Run these tests of the checkout, and keep what they show.

    Raises:
        InputError: there are no tests beside this installation.
        WorkError: pytest could not run, or took too long.
    """
    wanted, path = sorted(set(tests)), kept_junit()
    if not (root / "tests").is_dir():
        raise InputError(
            "no tests are beside this installation", where=str(root), hint="--junit FILE, of a checkout"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    there = [each for each in wanted if _there(each, root)]  # one that is not would keep all from running
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", f"--junit-xml={path}", *there]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as fault:
        raise WorkError("the tests took too long", needed=f"at most {PATIENCE_S} s") from fault
    if not path.exists():
        raise WorkError("pytest left no list of tests", had=(done.stdout + done.stderr)[-400:])
    return read_junit(path)


def _there(test: str, root: Path) -> bool:
    file, _, name = test.partition("::")
    path = root / file
    return path.is_file() and f"def {name.partition('[')[0]}(" in path.read_text()


def _node(case: ElementTree.Element) -> str:
    """The node id: pytest tells the module with points."""
    return f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '')}"
