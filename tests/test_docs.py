"""What the pages of documentation show is what happens."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from shoal.cli.app import verbs

ROOT = Path(__file__).parents[1]
RUNNER = Path(__file__).with_name("docs_runner.py")
PAGES = sorted(ROOT.glob("docs/*.md"))
LINKED = [ROOT / "README.md", ROOT / "examples" / "README.md", ROOT / "ARCHITECTURE.md", *PAGES]


def _runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_runner", RUNNER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_runner"] = module
    spec.loader.exec_module(module)
    return module


runner = _runner()


def _has_code(page: Path) -> bool:
    return any(block.language in {"python", "console"} for block in runner.blocks(page.read_text()))


# An editable install finds `shoal` where it was installed from, before PYTHONPATH is asked; a page has a copy of its own,
# to which it may add files.
OWN_COPY = """
import sys
sys.meta_path[:] = [each for each in sys.meta_path if "ScikitBuild" not in type(each).__name__]
"""


def _pages() -> Iterator[object]:
    """Those with code; one that emulates boards needs the machine to itself."""
    for page in filter(_has_code, PAGES):
        marks = [pytest.mark.serial] if "--emulate" in page.read_text() else []
        yield pytest.param(page, id=page.name, marks=marks)


@pytest.mark.parametrize("page", list(_pages()))
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "shoal", tmp_path / "shoal", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "sitecustomize.py").write_text(OWN_COPY)
    environment = {
        **os.environ,
        "COLUMNS": "80",
        "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(RUNNER), str(page)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_every_file_a_page_links_to_is_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text())
    local = [first or second for first, second in targets if "://" not in (first or second)]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_every_path_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`((?:shoal|examples|tests|docs|bench)/[\w./*-]+)`", page.read_text())
    made = {block.file for block in runner.blocks(page.read_text())}
    assert [path for path in named if path not in made and not any(ROOT.glob(path.rstrip("/")))] == []


def test_every_page_that_the_code_names_is_there() -> None:
    named = {
        name for file in (ROOT / "shoal").rglob("*.py") for name in re.findall(r"docs/\w+\.md", file.read_text())
    }
    assert named
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]


@pytest.mark.parametrize(
    ("expected", "printed"),
    [("3 GiB", "3 GiB\n"), ("a … c", "a b c"), ("a\n…\nc", "a\nb\nb\nc"), ("a\n…\nc", "a\nc"), ("", "")],
)
def test_expected_output_is_recognised(expected: str, printed: str) -> None:
    runner.compare(expected, printed, "page:1")


@pytest.mark.parametrize(
    ("expected", "printed"), [("3 GiB", "4 GiB"), ("a … c", "a b"), ("a\n…\nc", "a\nb"), ("", "a"), ("a", "")]
)
def test_other_output_is_refused(expected: str, printed: str) -> None:
    with pytest.raises(runner.Differs, match="page:1"):
        runner.compare(expected, printed, "page:1")


def test_figures_may_vary_where_the_page_says_so() -> None:
    runner.compare(
        "took 3.2 ms,  +5 % of\n4 GiB on pi4", "took 11 s, -0.5 % of 12 MiB\non pi4", "page:1", varying=True
    )
    for other in ("took 3.2 ms, +5 % of 4 GiB on pi3", "took ms, +5 % of 4 GiB on pi4", "3.2 ms, +5 %"):
        with pytest.raises(runner.Differs):
            runner.compare("took 3.2 ms, +5 % of 4 GiB on pi4", other, "page:1", varying=True)


def test_a_failing_block_says_which_line_of_the_page() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        runner.run("# Page\n\n```python\nx = 1\nx / 0\n```\n", "page.md")
    assert caught.traceback[-1].lineno + 1 == 5


def test_the_readme_lists_the_verbs_there_are() -> None:
    listed = re.findall(r"^\| `shoal ([\w-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == list(verbs())
